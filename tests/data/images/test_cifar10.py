"""CIFAR-10 from its binary files, in a folder or downloaded."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from runner.data.images.cifar10 import ARCHIVE, FILES, FOLDER, CIFAR10DataModule
from runner.errors import DataError

RECORDS = {
    name: np.random.default_rng(number).integers(0, 256, (4, 3073), dtype=np.uint8)
    for number, name in enumerate(FILES["train"] + FILES["test"])
}
for records in RECORDS.values():
    records[:, 0] = np.arange(4)


def write(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, records in RECORDS.items():
        (folder / name).write_bytes(records.tobytes())
    return folder


@pytest.mark.parametrize("below", ["", FOLDER])
def test_records_become_planes_and_labels(tmp_path: Path, below: str):
    write(tmp_path / below)
    data = CIFAR10DataModule(root=str(tmp_path), val_size=6)
    assert data.check() == []
    data.setup()
    assert (data.facts.num_train, data.facts.num_val, data.facts.num_test) == (14, 6, 4)
    source = data.splits["test"].source
    assert source.targets.tolist() == [0, 1, 2, 3]
    record = RECORDS["test_batch.bin"][2]
    assert torch.equal(source.inputs[2].flatten(), torch.from_numpy(record[1:]))
    assert source.inputs[2, 1, 0, 5] == record[1 + 1024 + 5]  # second plane, first row


def test_pickled_version_is_rejected(tmp_path: Path):
    (tmp_path / "cifar-10-batches-py").mkdir()
    (problem,) = CIFAR10DataModule(root=str(tmp_path)).check()
    assert "lacks data_batch_1.bin" in problem and "pickled; the binary version is needed" in problem


def test_truncated_file_is_rejected(tmp_path: Path):
    write(tmp_path)
    (tmp_path / "data_batch_3.bin").write_bytes(b"\0" * 5000)
    with pytest.raises(DataError, match=r"data_batch_3\.bin is incomplete: it has 5000 bytes"):
        CIFAR10DataModule(root=str(tmp_path), val_size=5).setup()


def test_archive_is_downloaded_and_unpacked(tmp_path: Path, server, monkeypatch: pytest.MonkeyPatch):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, records in RECORDS.items():
            entry = tarfile.TarInfo(f"{FOLDER}/{name}")
            entry.size = records.nbytes
            archive.addfile(entry, io.BytesIO(records.tobytes()))
    content = buffer.getvalue()
    server.files = {ARCHIVE: content}
    monkeypatch.setattr(CIFAR10DataModule, "url", server.url(""))
    sums = {ARCHIVE: (len(content), hashlib.sha256(content).hexdigest())}
    monkeypatch.setattr(CIFAR10DataModule, "files", sums)
    data = CIFAR10DataModule(data_dir=str(tmp_path), val_size=6)
    data.prepare_data()
    data.prepare_data()
    data.setup()
    assert len(server.asked) == 1
    assert data.facts.num_train == 14
