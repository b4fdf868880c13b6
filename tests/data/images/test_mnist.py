"""MNIST and Fashion-MNIST: from a folder, over the loopback interface, and the real files."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from runner.data.images.mnist import FashionMNISTDataModule, MNISTDataModule
from runner.errors import DataError


def arrays(num_train: int = 40, num_test: int = 12) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    found = {}
    for prefix, count in (("train", num_train), ("t10k", num_test)):
        found[f"{prefix}-images-idx3-ubyte"] = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        found[f"{prefix}-labels-idx1-ubyte"] = np.arange(count, dtype=np.uint8) % 10
    return found


@pytest.fixture
def folder(tmp_path: Path, idx_bytes) -> Path:
    for name, array in arrays().items():
        (tmp_path / name).write_bytes(idx_bytes(array))
    return tmp_path


def test_validation_is_cut_from_train_and_test_is_the_official_one(folder: Path):
    data = MNISTDataModule(root=str(folder), val_size=10)
    assert data.check() == []
    data.prepare_data()
    data.setup()
    train, val, test = (data.splits[name] for name in ("train", "val", "test"))
    assert (len(train), len(val), len(test)) == (30, 10, 12)
    assert train.source is val.source is not test.source
    assert sorted([*train.indices.tolist(), *val.indices.tolist()]) == list(range(40))
    assert torch.equal(test.source.inputs[:, 0], torch.from_numpy(arrays()["t10k-images-idx3-ubyte"]))
    assert data.facts.num_test == 12 and sum(data.facts.class_counts) == 30
    assert data.sample_name("val", 3) == "train image 3" and data.sample_name("test", 3) == "test image 3"


def test_gzipped_and_plain_files_are_the_same_data(folder: Path):
    plain = MNISTDataModule(root=str(folder), val_size=10)
    plain.setup()
    for path in list(folder.iterdir()):
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    zipped = MNISTDataModule(root=str(folder), val_size=10)
    assert zipped.check() == []
    zipped.setup()
    assert zipped.facts.digest == plain.facts.digest


def test_missing_folder_is_reported(tmp_path: Path):
    (problem,) = MNISTDataModule(root=str(tmp_path / "nowhere")).check()
    assert "nowhere: no such folder" in problem and "leave data.root out" in problem


def test_missing_files_are_reported_with_the_existing_ones(folder: Path):
    (folder / "t10k-labels-idx1-ubyte").rename(folder / "labels")
    (problem,) = MNISTDataModule(root=str(folder)).check()
    assert "lacks t10k-labels-idx1-ubyte.gz; it holds labels, t10k-images-idx3-ubyte" in problem
    with pytest.raises(DataError, match="lacks t10k-labels"):
        MNISTDataModule(root=str(folder)).setup()


def test_images_without_labels_are_rejected(folder: Path, idx_bytes):
    (folder / "train-labels-idx1-ubyte").write_bytes(idx_bytes(np.zeros(39, dtype=np.uint8)))
    with pytest.raises(DataError, match="40 train images but 39 labels"):
        MNISTDataModule(root=str(folder), val_size=10).setup()


def test_validation_larger_than_train_is_rejected(folder: Path):
    with pytest.raises(DataError, match="data.val_size=40 leaves none of the 40 images"):
        MNISTDataModule(root=str(folder), val_size=40).setup()


def test_files_are_downloaded_and_checked(tmp_path: Path, server, idx_bytes, monkeypatch: pytest.MonkeyPatch):
    files = {name + ".gz": gzip.compress(idx_bytes(array)) for name, array in arrays().items()}
    server.files = files
    sums = {name: (len(content), hashlib.sha256(content).hexdigest()) for name, content in files.items()}
    monkeypatch.setattr(MNISTDataModule, "url", server.url(""))
    monkeypatch.setattr(MNISTDataModule, "files", sums)
    data = MNISTDataModule(data_dir=str(tmp_path), val_size=10)
    assert data.check() == []
    data.prepare_data()
    data.prepare_data()  # nothing is fetched twice
    data.setup()
    assert len(server.asked) == 4
    assert (tmp_path / "mnist" / "train-images-idx3-ubyte.gz").is_file()
    assert data.facts.source == server.url("")


def test_flips_fit_clothes_and_not_digits():
    assert FashionMNISTDataModule.can_flip and not MNISTDataModule.can_flip


@pytest.mark.parametrize("module", [MNISTDataModule, FashionMNISTDataModule])
def test_checksums_are_complete(module: type[MNISTDataModule]):
    assert sorted(module.files) == sorted(name + ".gz" for name in arrays())
    assert all(size > 4000 and len(sha256) == 64 for size, sha256 in module.files.values())


def test_real_fashion_mnist(shared_data: Path):
    root = shared_data / "fashion_mnist"
    for name, (size, sha256) in FashionMNISTDataModule.files.items():
        content = (root / name).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (size, sha256)
    data = FashionMNISTDataModule(root=str(root))
    assert data.check() == []
    data.setup()
    facts = data.facts
    assert (facts.num_train, facts.num_val, facts.num_test) == (55000, 5000, 10000)
    assert facts.class_names[9] == "Ankle boot" and min(facts.class_counts) > 5400
    assert data.splits["test"].source.targets.bincount().tolist() == [1000] * 10
    images, _ = data.splits["train"].source.gather(data.splits["train"].indices[:5000])
    normalised = data.normalize(images)
    assert abs(normalised.mean()) < 0.05 and abs(normalised.std() - 1) < 0.05
