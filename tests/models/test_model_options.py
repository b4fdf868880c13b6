"""Every option of the group ``model`` for classes and numbers builds a model of its data, whatever the
outputs.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from runner.config.build import resolve_target
from runner.models.head import find_head
from runner.tasks.shape_check import check_output_shape

FOLDER = Path(__file__).resolve().parents[2] / "conf" / "model"
HEADS = {path: path.read_text().splitlines()[:3] for path in sorted(FOLDER.glob("*.yaml"))}
OPTIONS = [
    path
    for path, head in HEADS.items()
    if "classification" in head[0] and not {"sequence", "tokens"} & {*head[2].split()}
]
FACTS = {
    "${facts:in_channels}": 3,
    "${facts:in_features}": 3 * 32 * 32,
    "${facts:num_numeric}": 3,
    "${facts:image_size}": 32,
    "${regularization.dropout}": 0.1,
    "${regularization.spatial_dropout}": 0.1,
    "${regularization.stochastic_depth}": 0.1,
    "${pretrained}": False,
}


def build(option: Path, num_outputs: int) -> torch.nn.Module:
    node = yaml.safe_load(option.read_text())
    facts = FACTS | {"${facts:num_outputs}": num_outputs}
    arguments = {
        key: facts.get(value, value) if isinstance(value, str) else value for key, value in node.items()
    }
    return resolve_target(arguments.pop("_target_"))(**arguments)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda path: path.stem)
def test_builds(option):
    check_output_shape(build(option, 7), (3, 32, 32), 7)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda path: path.stem)
def test_has_a_head_and_reports_its_capabilities(option):
    with torch.device("meta"):
        assert len(find_head(build(option, 1))) == 1
    first, second, third = option.read_text().splitlines()[:3]
    assert first.startswith("# tasks: classification binary regression")
    assert second.startswith("# ") and third in ("# inputs: any", "# inputs: image", "# inputs: features")
