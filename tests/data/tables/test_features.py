"""The diabetes data of scikit-learn: a regression in raw units."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from runner.data.tables.features import DiabetesDataModule
from runner.errors import DataError


@pytest.fixture
def data() -> DiabetesDataModule:
    data = DiabetesDataModule(batch_size=32)
    data.setup()
    return data


def test_targets_are_columns_in_raw_units(data: DiabetesDataModule):
    batch = next(iter(data.train_dataloader()))
    assert batch["inputs"].shape == (32, 10) and batch["targets"].shape == (32, 1)
    assert batch["inputs"].dtype == batch["targets"].dtype == torch.float32
    targets = data.splits["train"].source.targets
    assert (targets.min(), targets.max()) == (25, 346)


def test_statistics_are_those_of_the_training_split(data: DiabetesDataModule):
    facts = data.facts
    inputs, targets = data.splits["train"].source.gather(data.splits["train"].indices)
    assert facts.task == "regression" and facts.num_outputs == 1 and facts.class_names == []
    assert (facts.num_train, facts.num_val, facts.num_test) == (266, 88, 88)
    assert facts.get("target_mean") == pytest.approx([targets.double().mean().item()])
    assert facts.get("target_std") == pytest.approx([targets.double().std(correction=0).item()])
    assert torch.allclose(data.normalize(inputs).mean(0), torch.zeros(10), atol=1e-5)
    everything = data.normalize(data.splits["train"].source.inputs)
    assert not torch.allclose(everything.mean(0), torch.zeros(10), atol=1e-4)


def test_scale_is_kept_in_checkpoints(data: DiabetesDataModule, tmp_path: Path):
    torch.save(data.state_dict(), tmp_path / "state.pt")
    other = DiabetesDataModule(split_seed=1)
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    rows = torch.rand(3, 10)
    assert torch.equal(other.normalize(rows), data.normalize(rows))
    other.setup()
    assert torch.equal(other.normalize(rows), data.normalize(rows))


def test_new_patients_come_from_a_csv(data: DiabetesDataModule, tmp_path: Path):
    names = data.feature_names
    (tmp_path / "new.csv").write_text(
        ",".join(["id", *reversed(names)]) + "\n7," + ",".join(map(str, range(10)))
    )
    ((name, row),) = data.read_inputs([str(tmp_path / "new.csv")])
    assert name == "row 1" and row.tolist() == list(range(9, -1, -1))


def test_csv_without_a_feature_is_rejected(data: DiabetesDataModule, tmp_path: Path):
    (tmp_path / "new.csv").write_text("age,sex,BMI2,bp,s1,s2,s3,s4,s5,s6\n" + ",".join("1" * 10))
    with pytest.raises(DataError, match=r"new\.csv has no column 'bmi'\. Did you mean 'BMI2'\?"):
        data.read_inputs([str(tmp_path / "new.csv")])


def test_csv_with_words_or_gaps_is_rejected(data: DiabetesDataModule, tmp_path: Path):
    head = ",".join(data.feature_names) + "\n" + ",".join("1" * 10) + "\n"
    for cell, came in (("old", "'old'"), ("", "nothing")):
        (tmp_path / "new.csv").write_text(head + ",".join([cell, *"1" * 9]))
        with pytest.raises(DataError, match=f"row 2: column 'age' holds {came}, expected a number"):
            data.read_inputs([str(tmp_path / "new.csv")])
