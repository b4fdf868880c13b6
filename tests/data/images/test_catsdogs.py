"""Cats vs Dogs from a loopback server: a small archive of the same layout."""

import hashlib
import io
import shutil
import zipfile

import pytest

from runner.data.images.catsdogs import CatsDogsDataModule
from runner.errors import DataError

pytestmark = pytest.mark.usefixtures("no_pauses")


@pytest.fixture(scope="session")
def archive(photo) -> bytes:
    """20 + 20 photographs, with what the real one has beside them: two empty files, two databases, papers."""
    files = {"readme[1].txt": b"Asirra", "MSR-LA - 3467.docx": b"licence"}
    for number, name in enumerate(("Cat", "Dog")):
        files |= {f"PetImages/{name}/{index}.jpg": photo(100 * number + index) for index in range(20)}
        files[f"PetImages/{name}/Thumbs.db"] = b"\0" * 50
    files["PetImages/Cat/666.jpg"] = b""
    files["PetImages/Dog/11702.jpg"] = b""
    files["PetImages/Dog/77.jpg"] = photo(5)[:400]
    return zipped(files)


def zipped(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as out:
        for name, content in files.items():
            out.writestr(name, content)
    return file.getvalue()


@pytest.fixture
def serve(server, monkeypatch, tmp_path):
    """``serve(content)`` makes that the public archive; returns a data module in an empty data folder."""

    def make(content: bytes, sha256: str | None = None, **options) -> CatsDogsDataModule:
        server.files["kagglecatsanddogs_5340.zip"] = content
        monkeypatch.setattr(CatsDogsDataModule, "url", server.url("kagglecatsanddogs_5340.zip"))
        monkeypatch.setattr(CatsDogsDataModule, "size", len(content))
        monkeypatch.setattr(CatsDogsDataModule, "sha256", sha256 or hashlib.sha256(content).hexdigest())
        monkeypatch.setattr(CatsDogsDataModule, "unpacked_size", 2 * len(content))
        return CatsDogsDataModule(data_dir=str(tmp_path / "data"), image_size=16, **options)

    return make


def test_downloads_unpacks_and_sets_broken_files_aside(server, serve, archive, caplog):
    data = serve(archive)
    assert data.check() == []
    data.prepare_data()
    named = "Cat/666.jpg (the file is empty); Dog/11702.jpg (the file is empty); Dog/77.jpg ("
    assert f"3 broken files are set aside: {named}" in caplog.text
    data.setup()
    assert data.facts.class_names == ["Cat", "Dog"]
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 28, "val": 6, "test": 6}
    assert data.facts.class_counts == [14, 14]
    assert data.facts.name == "catsdogs" and data.facts.source == data.url
    assert len(data.facts.extra["set_aside"]) == 3
    assert sum(len(batch["index"]) for batch in data.train_dataloader()) == 28
    assert server.asked == [None]


def test_second_time_needs_neither_network_nor_archive(server, serve, archive):
    serve(archive).prepare_data()
    data = serve(b"another file")
    data.archive.unlink()
    data.prepare_data()
    data.setup()
    assert len(data.splits["train"]) == 28 and server.asked == [None]


def test_interrupted_download_continues(server, serve, archive):
    server.cuts = [len(archive) // 2, len(archive) // 4]
    data = serve(archive)
    data.prepare_data()
    data.setup()
    assert len(data.splits["val"]) == 6
    assert len(server.asked) == 3


def test_server_without_ranges(server, serve, archive):
    server.ranges = False
    server.cuts = [len(archive) // 2]
    serve(archive).prepare_data()
    assert len(server.asked) == 2


def test_wrong_checksum_is_rejected_and_nothing_is_unpacked(serve, archive):
    data = serve(archive, sha256="0" * 64)
    with pytest.raises(DataError, match="not the expected file: its SHA-256 is"):
        data.prepare_data()
    assert not data.archive.exists() and not data.archive.with_suffix("").exists()


def test_entry_outside_is_rejected(serve, photo, tmp_path):
    content = zipped({"PetImages/Cat/0.jpg": photo(0), "PetImages/../../../evil.jpg": b"evil"})
    data = serve(content)
    with pytest.raises(DataError, match=r"'PetImages/../../../evil.jpg' would lie outside the folder"):
        data.prepare_data()
    assert not data.archive.with_suffix("").exists() and not list(tmp_path.rglob("evil.jpg"))


def test_full_disk_is_seen_before(server, serve, archive, monkeypatch):
    monkeypatch.setattr(
        shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**12, 10**12, len(archive))
    )
    with pytest.raises(DataError, match="Not enough disk space for downloading kagglecatsanddogs_5340.zip"):
        serve(archive).prepare_data()
    assert server.asked == []


def test_manually_placed_archive_is_used(server, serve, archive):
    data = serve(archive)
    data.archive.parent.mkdir(parents=True)
    data.archive.write_bytes(archive)
    data.prepare_data()
    data.setup()
    assert len(data.splits["train"]) == 28 and server.asked == []


def test_interrupted_verification_restarts(serve, archive, monkeypatch):
    data = serve(archive)
    with monkeypatch.context() as patch:
        patch.setattr("runner.data.images.catsdogs.verify_images", interrupt)
        with pytest.raises(KeyboardInterrupt):
            data.prepare_data()
    data.prepare_data()
    data.setup()
    assert len(data.facts.extra["set_aside"]) == 3


def interrupt(*_):
    raise KeyboardInterrupt


def test_environment_chooses_the_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("RUNNER_DATA", str(tmp_path))
    assert CatsDogsDataModule().archive == tmp_path / "catsdogs" / "kagglecatsanddogs_5340.zip"


def test_local_folder_is_never_downloaded(server, serve, photo_folder, tmp_path):
    root = photo_folder(tmp_path / "mine", {"train/cat": 3, "train/dog": 3, "val/cat": 2, "val/dog": 2})
    serve(b"unused")
    data = CatsDogsDataModule(root=str(root), image_size=16)
    assert data.check() == []
    data.prepare_data()
    data.setup()
    assert len(data.splits["train"]) == 6 and "test" not in data.splits
    assert data.facts.source == str(root) and server.asked == []


def test_unpacked_archive_as_local_folder(photo_folder, tmp_path):
    root = photo_folder(tmp_path / "kaggle", {"PetImages/Cat": 7, "PetImages/Dog": 7})
    (root / "PetImages" / "Cat" / "666.jpg").write_bytes(b"")
    data = CatsDogsDataModule(root=str(root), image_size=16)
    assert data.check() == []
    data.setup()
    assert data.facts.num_train == 10
    assert data.facts.extra["set_aside"] == ["Cat/666.jpg: the file is empty"]


def test_missing_local_folder_is_a_problem(tmp_path):
    (problem,) = CatsDogsDataModule(root=str(tmp_path / "gone")).check()
    assert "no such folder" in problem


def test_public_archive_is_the_known_one():
    assert CatsDogsDataModule.url.endswith("3E1C3F21-ECDB-4869-8368-6DEBA77B919F/kagglecatsanddogs_5340.zip")
    assert CatsDogsDataModule.size == 824887076 and len(CatsDogsDataModule.sha256) == 64
