"""Any table as a data set: facts, splits, problems before the run, what a checkpoint keeps; and real
tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from runner.data.tables.table import TableDataModule
from runner.errors import DataError

ADULT_COLUMNS = [
    "age",
    "workclass",
    "fnlwgt",
    "education",
    "education_years",
    "marital_status",
    "occupation",
    "relationship",
    "race",
    "sex",
    "capital_gain",
    "capital_loss",
    "hours_per_week",
    "country",
    "income",
]


def write(path: Path, num_rows: int = 60, header: bool = True) -> Path:
    random = np.random.default_rng(0)
    lines = ["rooms,town,area,kind,price"] if header else []
    for row in range(num_rows):
        area = random.uniform(20, 200)
        town = ["Rome", "Bonn", ""][row % 3]
        kind = ["flat", "house"][int(area > 110)]
        lines.append(
            f"{row % 5 + 1},{town},{'' if row % 7 == 0 else round(area, 1)},{kind},{area * 1000 + row:.1f}"
        )
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(write(tmp_path / "homes.csv"))


def made(path: str, **options) -> TableDataModule:
    data = TableDataModule(path=path, **options)
    assert data.check() == []
    data.setup()
    return data


def test_classification(path: str):
    data = made(path, target="kind", ignore=["price"], batch_size=8)
    facts = data.facts
    assert (facts.task, facts.num_outputs, facts.class_names) == ("classification", 2, ["flat", "house"])
    assert facts.get("feature_names") == [
        "rooms",
        "area",
        "area is missing",
        "town=Bonn",
        "town=Rome",
        "town=(missing)",
    ]
    assert facts.input_shape == (6,) and sum(facts.class_counts) == facts.num_train
    assert facts.num_train + facts.num_val + facts.num_test == 60 and facts.num_val == facts.num_test == 12
    batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert batch["inputs"].shape == (8, 6) and batch["targets"].dtype == torch.long


def test_regression_of_several_numbers(path: str):
    data = made(path, target=["price", "rooms"], task="regression")
    assert (data.facts.task, data.facts.num_outputs, data.facts.class_names) == ("regression", 2, [])
    assert data.facts.get("target_names") == ["price", "rooms"]
    targets = data.splits["train"].source.targets
    assert targets.shape == (60, 2) and targets.dtype == torch.float32 and targets[:, 0].max() > 100_000
    train = targets[data.splits["train"].indices].double()
    assert data.facts.get("target_mean") == pytest.approx(train.mean(0).tolist())
    assert data.facts.get("target_std") == pytest.approx(train.std(0, correction=0).tolist())


def test_statistics_use_training_rows_only(tmp_path: Path):
    lines = write(tmp_path / "homes.csv").read_text().splitlines()
    before = made(str(tmp_path / "homes.csv"), target="kind")
    row = before.splits["test"].indices[1].item()
    lines[row + 1] = "1000,Atlantis,9999," + ",".join([*lines[row + 1].split(",")[3:4], "1e9"])
    (tmp_path / "homes.csv").write_text("\n".join(lines))
    after = made(str(tmp_path / "homes.csv"), target="kind")
    assert after.state_dict() == before.state_dict()
    assert after.facts.digest != before.facts.digest


def test_rows_are_named_by_their_number_in_the_file(path: str):
    data = made(path, target="kind")
    assert data.sample_name("train", 0) == "homes.csv row 1"
    assert data.sample_name("test", 59) == "homes.csv row 60"


def test_rows_without_a_target_are_left_out(tmp_path: Path):
    rows = "\n".join(
        f"{number},{['yes', '', 'no'][number % 3]}" for number in (5, 3, 1, 8, 7, 9, 0, 2, 4, 6) * 3
    )
    (tmp_path / "gaps.csv").write_text(f"x,y\n{rows}\n")
    data = made(str(tmp_path / "gaps.csv"), target="y")
    source = data.splits["train"].source
    assert len(source) == 21
    assert [source.name(index) for index in (0, 1, 2)] == [f"gaps.csv row {number}" for number in (1, 2, 4)]


def test_batches_are_gathered(path: str):
    data = made(path, target="kind")
    assert torch.equal(
        data.splits["val"].__getitems__([(0, 0), (0, 1)])["inputs"],
        data.splits["val"].source.inputs[data.splits["val"].indices[:2]],
    )


def test_second_file_to_test_on(path: str, tmp_path: Path):
    test_path = write(tmp_path / "new.csv", num_rows=20)
    data = made(path, target="kind", test_path=str(test_path))
    assert (data.facts.num_train, data.facts.num_val, data.facts.num_test) == (48, 12, 20)
    assert data.sample_name("test", 19) == "new.csv row 20"


def test_new_rows_are_encoded_from_the_checkpoint_only(path: str, tmp_path: Path):
    data = made(path, target="kind", ignore=["price"])
    torch.save(data.state_dict(), tmp_path / "state.pt")
    other = TableDataModule(path="gone.csv", target="kind")
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    other.setup("predict")
    (tmp_path / "new.csv").write_text("area;town;rooms\n50;Paris;\n?;Rome;2\n")
    (first, features), (second, _) = other.read_inputs([str(tmp_path / "new.csv")])
    assert (first, second) == ("row 1", "row 2")
    assert features.tolist() == [3.0, 50.0, 0.0, 0.0, 0.0, 0.0]
    assert torch.equal(other.normalize(features[None]), data.normalize(features[None]))
    names = [name for name, _ in other.read_inputs([str(tmp_path / "new.csv")] * 2)]
    assert names[0] == f"{tmp_path / 'new.csv'} row 1" and len(names) == 4


def test_another_file_is_encoded_by_a_loaded_state(path: str, tmp_path: Path):
    trained = made(path, target="kind")
    other = TableDataModule(path=str(write(tmp_path / "other.csv", num_rows=30)), target="kind")
    other.load_state_dict(trained.state_dict())
    other.setup("test")
    assert other.state_dict() == trained.state_dict() and len(other.splits["train"].source) == 30
    (tmp_path / "other.csv").write_text(Path(path).read_text().replace("house", "castle"))
    another = TableDataModule(path=str(tmp_path / "other.csv"), target="kind")
    another.load_state_dict(trained.state_dict())
    with pytest.raises(DataError, match="holds the label 'castle', which the training file does not have"):
        another.setup("test")


def test_run_resumes_with_the_same_file_only(path: str):
    state = made(path, target="kind").state_dict()
    same = made(path, target="kind")
    same.load_state_dict(state)
    Path(path).write_text(Path(path).read_text().replace("Rome", "Roma"))
    changed = made(path, target="kind")
    with pytest.raises(DataError, match="has changed since this run began"):
        changed.load_state_dict(state)


def test_files_without_a_header_line(tmp_path: Path):
    path = str(write(tmp_path / "homes.csv", header=False))
    columns = ["rooms", "town", "area", "kind", "price"]
    (problem,) = TableDataModule(path=path, target="kind").check()
    assert "has no column 'kind'" in problem and "name the columns with data.columns" in problem
    data = made(path, target="kind", columns=columns)
    assert len(data.splits["train"].source) == 60
    (tmp_path / "whole.csv").write_text("1,Rome,50,flat,1\n")
    (tmp_path / "rest.csv").write_text("1,Rome,50,1\n")
    found = [data.read_inputs([str(tmp_path / name)])[0][1] for name in ("whole.csv", "rest.csv")]
    assert torch.equal(*found)


def test_labels_can_be_stripped(path: str, tmp_path: Path):
    test_path = write(tmp_path / "new.csv", num_rows=20)
    test_path.write_text(test_path.read_text().replace("flat,", "flat.,"))
    options = {"path": path, "target": "kind", "test_path": str(test_path)}
    (problem,) = TableDataModule(**options).check()
    assert "holds the label 'flat.'" in problem and "Did you mean 'flat'?" in problem
    assert TableDataModule(**options, label_strip=".").check() == []


@pytest.mark.parametrize(
    ("options", "messages"),
    [
        ({"path": None}, ["data.path is not set", "data.target is not set"]),
        ({"path": None, "hint": "Get it there."}, ["data.path=FILE. Get it there.", "data.target"]),
        (
            {"path": "homs.csv", "target": "kind", "hint": "Get it there."},
            ["Did you mean 'homes.csv'? Get it there."],
        ),
        (
            {"target": "knd", "ignore": ["prce"]},
            ["no column 'knd'. Did you mean 'kind'?", "Did you mean 'price'?"],
        ),
        ({"target": "price"}, ["60 different numbers"]),
        (
            {"target": "price", "task": "runner.tasks.classification.ClassificationTask"},
            ["Choose task=regression"],
        ),
        ({"target": "kind", "task": "runner.tasks.regression.RegressionTask"}, ["holds words such as"]),
        ({"target": "kind", "test_path": "homs.csv"}, ["There is no file"]),
        ({"path": "few.csv", "target": "kind"}, ["has 4 rows with a target; at least 10 are needed"]),
        ({"path": "few.csv", "target": "kind", "test_path": "homs.csv"}, ["There is no file", "at least 10"]),
        ({"target": "kind", "test_path": "words.csv"}, ["words.csv: column 'rooms' holds words"]),
        (
            {"target": "kind", "test_path": "lacks.csv"},
            ["lacks.csv has no column 'area'. Did you mean 'aera'?"],
        ),
    ],
)
def test_problems_are_found_before_the_run(tmp_path: Path, options: dict, messages: list[str]):
    whole = write(tmp_path / "homes.csv").read_text()
    (tmp_path / "few.csv").write_text("\n".join(whole.splitlines()[:5]))
    (tmp_path / "words.csv").write_text(whole.replace("\n5,", "\nfive,"))
    (tmp_path / "lacks.csv").write_text(whole.replace("area", "aera"))
    options = {"path": "homes.csv"} | options
    options |= {key: str(tmp_path / options[key]) for key in ("path", "test_path") if options.get(key)}
    if options.get("target") == "price":
        options.setdefault("task", "classification")
    data = TableDataModule(**options)
    problems = data.check()
    assert len(problems) == len(messages), problems
    assert all(message in problem for message, problem in zip(messages, problems, strict=True)), problems
    with pytest.raises(DataError):
        data.setup()


def test_only_the_first_line_of_a_large_file_is_inspected(path: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("runner.data.tables.table.WHOLE_FILE_BYTES", 10)
    assert TableDataModule(path=path, target="price", task="classification").check() == []
    (problem,) = TableDataModule(path=path, target="prize").check()
    assert "Did you mean 'price'?" in problem


def test_notices_are_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    rows = "\n".join(f"{row},name {row},{row % 3},{'ab'[row % 2]}" for row in range(40))
    (tmp_path / "t.csv").write_text(f"id,name,x,y\n{rows}\n")
    data = made(str(tmp_path / "t.csv"), target="y")
    notes = data.facts.get("notes")
    assert len(notes) == 2 and "data.ignore=[id]" in notes[0] and "'name' has no categories" in notes[1]
    assert all(note in caplog.text for note in notes)
    assert data.facts.get("feature_names") == ["id", "x"]


def test_one_hot_encoded_names_are_reported(tmp_path: Path):
    names = [f"name {row}" for row in range(60)] + ["Ann"] * 20
    rows = "\n".join(f"{name},{row % 3},{'ab'[row % 2]}" for row, name in enumerate(names))
    (tmp_path / "t.csv").write_text(f"name,x,y\n{rows}\n")
    data = made(str(tmp_path / "t.csv"), target="y")
    assert data.facts.get("feature_names") == ["x", "name=Ann", "name=(other)"]
    (note,) = data.facts.get("notes")
    assert "column 'name' looks like names" in note and "data.ignore=[name]" in note


@pytest.mark.parametrize(
    ("file", "options", "facts"),
    [
        (
            "titanic/train.csv",
            {"target": "Survived", "ignore": ["PassengerId"]},
            {"task": "classification", "num_train": 535},
        ),
        ("penguins/penguins.csv", {"target": "species"}, {"class_names": ["Adelie", "Chinstrap", "Gentoo"]}),
        (
            "auto_mpg/mpg.csv",
            {"target": "mpg", "ignore": ["name"]},
            {"task": "regression", "in_features": 10},
        ),
        (
            "california_housing/housing.csv",
            {"target": "median_house_value"},
            {"task": "regression", "num_test": 4128},
        ),
        (
            "adult/adult-train.csv",
            {
                "target": "income",
                "columns": ADULT_COLUMNS,
                "test_path": "adult/adult-test.csv",
                "label_strip": ".",
            },
            {"class_names": ["<=50K", ">50K"], "num_test": 16281, "class_counts": [19776, 6273]},
        ),
    ],
)
def test_real_tables(shared_data: Path, file: str, options: dict, facts: dict):
    folder = shared_data / "tabular"
    if "test_path" in options:
        options = options | {"test_path": str(folder / options["test_path"])}
    data = made(str(folder / file), **options)
    assert {key: data.facts.get(key) for key in facts} == facts
    train = data.splits["train"]
    features = data.normalize(train.source.inputs[train.indices])
    numeric = len(data.fitted.encoder.medians)
    assert features.isfinite().all()
    assert features[:, :numeric].mean(0).abs().max() < 1e-3
    assert len({*data.facts.get("feature_names")}) == features.shape[1]


def test_header_line_alone_is_one_problem(tmp_path: Path):
    (tmp_path / "t.csv").write_text("x,y\n")
    assert TableDataModule(path=str(tmp_path / "t.csv"), target="y").check() == [
        f"{tmp_path / 't.csv'} has a header line, but no rows."
    ]
