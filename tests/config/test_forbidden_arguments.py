"""Arguments of timm and segmentation-models-pytorch that read other files or repositories are rejected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runner.config.build import build
from runner.config.checks.check import check_config
from runner.config.compose import compose
from runner.errors import ConfigError, UserError
from runner.models.segmentation.encoder import check_encoder
from runner.models.timm import check_name

pytestmark = pytest.mark.attack("libraries that read files")

UNET = "runner.models.segmentation.unet.Unet"
SMP = "segmentation_models_pytorch.decoders.unet.model.Unet"


@pytest.mark.parametrize(
    ("node", "key"),
    [
        ({"_target_": "timm.models.resnet18", "checkpoint_path": "x.pt"}, "checkpoint_path"),
        ({"_target_": "timm.models.resnet18", "pretrained_cfg": {"file": "x.pt"}}, "pretrained_cfg.file"),
        (
            {"_target_": "timm.models.resnet18", "pretrained_cfg_overlay": {"url": "u"}},
            "pretrained_cfg_overlay.url",
        ),
        ({"_target_": "timm.create_model", "model_name": "hf-hub:some/model"}, "model_name"),
        ({"_target_": "timm.create_model", "_args_": ["local-dir:folder"]}, "_args_[0]"),
        ({"_target_": SMP, "encoder_name": "tu-hf-hub:some/model"}, "encoder_name"),
        ({"_target_": UNET, "encoder_name": "tu-hf-hub:some/model"}, "encoder_name"),
        ({"_target_": UNET, "encoder_name": "tu-local-dir:/tmp"}, "encoder_name"),
        ({"_target_": UNET, "encoder_name": "tu-resnet18", "checkpoint_path": "x.pt"}, "checkpoint_path"),
        ({"_target_": UNET, "pretrained_cfg": {"file": "x.pt"}}, "pretrained_cfg.file"),
    ],
)  # fmt: skip
def test_arguments_that_read_files_are_rejected(node: dict[str, Any], key: str) -> None:
    for outer, prefix in ((node, ""), ({"inner": [node]}, "inner[0].")):
        with pytest.raises(ConfigError) as error:
            build(outer)
        assert [(problem.key, problem.kind) for problem in error.value.problems] == [
            (prefix + key, "not_allowed")
        ]


def test_other_arguments_are_allowed() -> None:
    node = {"_target_": "timm.create_model", "model_name": "resnet18", "checkpoint_path": None}
    model = build({**node, "num_classes": 3})
    assert model.num_classes == 3


def test_the_check_reports_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    node = "model={_target_:timm.create_model,model_name:resnet18,checkpoint_path:x.pt,num_classes:10}"
    problems = check_config(compose(["data=digits", node]))
    assert ("model.checkpoint_path", "not_allowed") in [(item.key, item.kind) for item in problems]


@pytest.mark.parametrize("name", ["hf-hub:a/b", "hf_hub:a/b", "local-dir:/tmp", "resnet18.hf-hub:a/b"])
def test_names_with_a_scheme_are_no_backbones(name: str) -> None:
    with pytest.raises(UserError, match="no backbone"):
        check_name(name)
    with pytest.raises(UserError, match="no such encoder"):
        check_encoder(f"tu-{name}")
