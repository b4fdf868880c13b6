from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from runner.config.groups import find_groups


@pytest.fixture
def photos(here: Path) -> Path:
    """Eight photographs in two classes, one of them cut off."""
    generator = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (here / "photos" / name).mkdir(parents=True)
        for index in range(20):
            pixels = generator.integers(0, 255, (24, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(here / "photos" / name / f"{index}.jpg")
    broken = here / "photos" / "dog" / "3.jpg"
    broken.write_bytes(broken.read_bytes()[:300])
    return here / "photos"


def test_list_names_every_data_set_with_its_task(say) -> None:
    said = say("data", "list")
    assert said.code == 0
    for option in find_groups()["data"].values():
        assert option.summary in said.out
    assert next(line for line in said.out.splitlines() if line.startswith("diabetes")).endswith("regression")


def test_inspect_images(say, here: Path) -> None:
    said = say("data", "inspect", "digits")
    assert said.code == 0, said.err
    assert "1 × 8 × 8" in said.out and "1079" in said.out
    assert "channel 0" in said.out
    picture = Image.open(here / "samples_digits.png")
    assert picture.width > 300


def test_inspect_a_table_as_json(say, here: Path) -> None:
    found = json.loads(say("data", "inspect", "data=diabetes", "--json").out)
    assert found["facts"]["num_outputs"] == 1
    assert len(found["inputs"]["mean"]) == 10
    assert found["inputs"]["normalised std"] == pytest.approx([1.0] * 10, abs=0.05)
    assert [*here.iterdir()] == []


def test_inspect_a_series_describes_columns(say) -> None:
    said = say("data", "inspect", "data=waves", "data.num_steps=400")
    assert said.code == 0, said.err
    shown = said.out[said.out.index("inputs, of") :].split()
    assert "load" in shown and "heat" in shown and "95" not in shown


def test_padding_steps_do_not_count() -> None:
    import torch

    from runner.cli.data.inspect import input_statistics
    from runner.data.split import ArraySource, Split
    from runner.data.standardize import Standardize

    steps = torch.tensor([[[1.0, 10.0], [3.0, 30.0]], [[5.0, 20.0], [torch.nan, torch.nan]]])
    data = SimpleNamespace(
        splits={"train": Split(ArraySource(steps, torch.zeros(2)), range(2))},
        normalize=Standardize([3.0], [1.0]),
    )
    found = input_statistics(data)
    assert found["mean"] == [3.0, 20.0] and found["min"] == [1.0, 10.0] and found["max"] == [5.0, 30.0]
    assert found["std"] == pytest.approx([(8 / 3) ** 0.5, (200 / 3) ** 0.5])
    assert found["normalised mean"] == [0.0, 17.0]


def test_location_of_the_image(say, here: Path) -> None:
    assert say("data", "inspect", "digits", "--output", "grid.png").code == 0
    assert (here / "grid.png").is_file()


def test_verify_names_broken_files(say, photos: Path) -> None:
    said = say("data", "verify", "image_folder", "data.root=photos")
    assert said.code == 1
    assert "dog/3.jpg" in said.out and "1 of 40 samples are broken" in said.out


def test_verify_excludes_broken_files(say, photos: Path) -> None:
    said = say("data", "verify", "image_folder", "data.root=photos", "--set-aside", "--json")
    assert said.code == 0
    assert json.loads(said.out)["broken"].keys() == {"dog/3.jpg"}
    facts = json.loads(say("data", "inspect", "image_folder", "data.root=photos", "--json").out)["facts"]
    assert facts["num_train"] + facts["num_val"] + facts["num_test"] == 39


def test_verify_data_in_memory(say) -> None:
    said = say("data", "verify", "pass_fail")
    assert said.code == 0
    assert "samples can be read" in said.out
    refused = say("data", "verify", "pass_fail", "--set-aside")
    assert refused.code == 2 and "does not read single files" in refused.err


def test_prepare(say) -> None:
    assert say("data", "prepare", "digits").code == 0


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["inspect", "digitz"], "Did you mean 'digits'"),
        (["inspect", "image_folder"], "data.root"),
        (["verify", "image_folder", "data.root=absent"], "absent"),
        (["inspect", "digits", "data.batch_siz=3"], "batch_size"),
        (["look", "digits"], "invalid choice: 'look'"),
    ],
)
def test_invalid_input(words: list[str], expected: str, say) -> None:
    said = say("data", *words)
    assert said.code == 2
    assert expected in said.err


def test_problems_of_other_nodes_are_ignored(say) -> None:
    """The default model cannot do every task, and that is no reason not to look at the data."""
    assert say("data", "prepare", "diabetes", "model=perceptron", "optimizer.lr=-1").code == 0


def test_path_in_place_of_data_is_recognized(say, here: Path) -> None:
    (here / "table.csv").write_text("a,b,price\n" + "".join(f"{i},{i % 7},{i * 2}\n" for i in range(60)))
    said = say("train", "table.csv")
    assert said.code == 2
    assert "table.csv is read as data=csv: a table. Add data.target=COLUMN (columns: a, b, price)" in said.err
    said = say("data", "inspect", "./table.csv", "data.target=price", "task=regression")
    assert said.code == 0, said.err
    assert "data=csv data.path=table.csv: a table" in said.err
    command = "runner train data=csv data.path=table.csv data.target=price task=regression"
    assert said.out.splitlines()[-1] == f"Train with: {command}"


def test_name_of_a_data_set_precedes_a_folder_of_that_name(say, here: Path) -> None:
    (here / "digits").mkdir()
    said = say("data", "inspect", "digits")
    assert said.code == 0, said.err
    assert said.out.splitlines()[-1] == "Train with: runner train data=digits"
