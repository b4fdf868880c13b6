import os
import subprocess
from pathlib import Path

import pytest

from runner.callbacks.checkpoint_store import check_folder, free_path
from runner.errors import CheckpointError


def test_too_little_room_is_told_before_training(small_disk: Path) -> None:
    with pytest.raises(CheckpointError, match="has 0 MiB free; the checkpoints of this run need about 3 MiB"):
        check_folder(small_disk, 3 * 2**20)
    check_folder(small_disk, 1000)


def test_a_folder_that_is_read_only_is_told_before_training(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(CheckpointError, match="cannot be written: Read-only file system"):
        check_folder(small_disk)


def test_a_path_that_cannot_be_a_folder_is_told_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match=r"cannot be written: Not a directory. Choose another folder"):
        check_folder(tmp_path / "file" / "checkpoints")


def test_litter_of_a_killed_process_is_cleared(tmp_path: Path) -> None:
    (tmp_path / ".step-00000001.ckpt.tmp").write_bytes(b"half")
    (tmp_path / ".index.json.1234.tmp").write_bytes(b"half")
    check_folder(tmp_path)
    assert os.listdir(tmp_path) == []


def test_a_second_state_of_the_same_step_gets_a_name_of_its_own(tmp_path: Path) -> None:
    names = []
    for _ in range(3):
        path = free_path(tmp_path, 12)
        path.touch()
        names.append(path.name)
    assert names == ["step-00000012.ckpt", "step-00000012-2.ckpt", "step-00000012-3.ckpt"]
