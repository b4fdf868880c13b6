"""Every option of the group ``model`` for segmentation builds a segmenter of its data."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from runner.config.build import resolve_target
from runner.data.facts import Facts
from runner.models.head import find_head
from runner.tasks.segmentation import SegmentationTask

FOLDER = Path(__file__).resolve().parents[3] / "conf" / "model"
OPTIONS = [
    path for path in sorted(FOLDER.glob("*.yaml")) if path.read_text().startswith("# tasks: segmentation")
]
FACTS = {
    "${facts:in_channels}": 3,
    "${facts:num_outputs}": 7,
    "${regularization.dropout}": 0.1,
    "${pretrained}": False,
}


def build(option: Path) -> torch.nn.Module:
    node = yaml.safe_load(option.read_text())
    arguments = {
        key: FACTS.get(value, value) if isinstance(value, str) else value for key, value in node.items()
    }
    return resolve_target(arguments.pop("_target_"))(**arguments)


def test_all_options_are_present():
    names = {path.stem for path in OPTIONS}
    assert names == {
        "unet", "unet_plus_plus", "linknet", "manet", "fpn", "pspnet", "pan", "upernet", "deeplab_v3_plus",
        "deeplab_v3_any", "segformer", "dpt", "deeplab_v3", "fcn", "lraspp",
    }  # fmt: skip


@pytest.mark.parametrize("option", OPTIONS, ids=lambda path: path.stem)
def test_builds(option):
    model = build(option)
    SegmentationTask.check_model(model, Facts(task="segmentation", input_shape=(3, 48, 40), num_outputs=7))
    assert find_head(model)
    first, second, third = option.read_text().splitlines()[:3]
    assert first == "# tasks: segmentation" and second.startswith("# ") and third == "# inputs: image"
