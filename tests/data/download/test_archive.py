"""Archives, honest and hostile."""

import io
import shutil
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from runner.data.download.archive import extract
from runner.errors import DataError

pytestmark = pytest.mark.attack("archives")


def make_zip(path: Path, files: dict[str, bytes], modes: dict[str, int] | None = None) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (modes or {}).get(name, stat.S_IFREG | 0o644) << 16
            archive.writestr(info, content)
    return path


def make_tar(path: Path, entries: list[tuple[str, dict]], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, fields in entries:
            info = tarfile.TarInfo(name)
            content = fields.pop("content", b"")
            for key, value in fields.items():
                setattr(info, key, value)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def all_files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


FILES = {"a/1.txt": b"one", "a/b/2.txt": b"two" * 1000, "empty": b""}


def test_zip_is_unpacked_once(tmp_path):
    archive = make_zip(tmp_path / "x.zip", FILES)
    out = extract(archive, tmp_path / "deep" / "out")
    assert all_files(out) == FILES
    (out / "mine").write_text("stays")
    archive.unlink()
    assert extract(archive, out) == out
    assert (out / "mine").exists()


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_tar_is_unpacked(tmp_path, mode):
    archive = make_tar(tmp_path / "x.tar", [(name, {"content": c}) for name, c in FILES.items()], mode)
    assert all_files(extract(archive, tmp_path / "out")) == FILES


def test_leftovers_of_a_killed_process_are_replaced(tmp_path):
    (tmp_path / ".out.partial" / "a").mkdir(parents=True)
    (tmp_path / ".out.partial" / "a" / "stale").write_text("stale")
    assert all_files(extract(make_zip(tmp_path / "x.zip", FILES), tmp_path / "out")) == FILES


@pytest.mark.parametrize(
    "name", ["../evil", "a/../../evil", "/evil", "C:/evil", "..\\evil", "a\\..\\..\\evil", ".."]
)
def test_entry_outside_rejects_the_whole_zip(tmp_path, name):
    archive = make_zip(tmp_path / "x.zip", {**FILES, name: b"evil"})
    assert_refused(archive, tmp_path, "would lie outside the folder")


@pytest.mark.parametrize(
    ("mode", "kind"), [(stat.S_IFLNK | 0o777, "symbolic link"), (stat.S_IFIFO | 0o644, "device or pipe")]
)
def test_special_zip_entry_is_rejected_and_named(tmp_path, mode, kind):
    archive = make_zip(tmp_path / "x.zip", {**FILES, "special": b"/etc/passwd"}, {"special": mode})
    assert_refused(archive, tmp_path, f"'special' is a {kind}")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}, "'special' is a symbolic link"),
        ({"type": tarfile.LNKTYPE, "linkname": "../x"}, "'special' is a hard link"),
        ({"type": tarfile.FIFOTYPE}, "'special' is a device or pipe"),
        ({"type": tarfile.CHRTYPE}, "'special' is a device or pipe"),
    ],
)
def test_special_tar_entry_is_rejected_and_named(tmp_path, fields, words):
    assert_refused(make_tar(tmp_path / "x.tgz", [("ok", {}), ("special", fields)]), tmp_path, words)


def test_tar_entry_outside_is_rejected(tmp_path):
    assert_refused(make_tar(tmp_path / "x.tgz", [("../evil", {"content": b"evil"})]), tmp_path, "outside")


def assert_refused(archive: Path, tmp_path: Path, words: str) -> None:
    before = set(tmp_path.parent.iterdir())
    with pytest.raises(DataError) as caught:
        extract(archive, tmp_path / "out")
    assert words in str(caught.value) and str(archive) in str(caught.value)
    assert {path.name for path in tmp_path.iterdir()} - {"out.lock"} == {archive.name}
    assert set(tmp_path.parent.iterdir()) == before


def test_encrypted_zip_is_rejected(tmp_path):
    archive = make_zip(tmp_path / "x.zip", {"a": b"one"})
    content = bytearray(archive.read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1
    archive.write_bytes(content)
    assert_refused(archive, tmp_path, "'a' is encrypted")


def test_bomb_is_rejected_by_its_declared_size(tmp_path):
    archive = make_zip(tmp_path / "x.zip", {f"{i}": bytes(30 << 20) for i in range(3)})
    assert archive.stat().st_size < 200_000
    assert_refused(archive, tmp_path, "would unpack to more than 67 MB")


def test_tar_bomb_is_rejected(tmp_path):
    archive = make_tar(tmp_path / "x.tgz", [(f"{i}", {"content": bytes(30 << 20)}) for i in range(3)])
    assert_refused(archive, tmp_path, "would unpack to more than 67 MB")


def test_limit_can_be_given(tmp_path):
    archive = make_zip(tmp_path / "x.zip", FILES)
    with pytest.raises(DataError, match="more than 3.0 kB"):
        extract(archive, tmp_path / "out", max_bytes=3002)
    assert all_files(extract(archive, tmp_path / "out", max_bytes=3003)) == FILES


def test_zip_that_lies_about_a_size_is_damaged(tmp_path):
    archive = make_zip(tmp_path / "x.zip", {"a": b"x" * 5000})
    content = bytearray(archive.read_bytes())
    at = content.index(b"PK\1\2") + 24
    content[at : at + 4] = (10).to_bytes(4, "little")
    archive.write_bytes(content)
    assert_refused(archive, tmp_path, "damaged archive")


def test_flipped_byte_is_found_by_the_checksum(tmp_path):
    archive = make_zip(tmp_path / "x.zip", {"a": bytes(range(256)) * 50})
    content = bytearray(archive.read_bytes())
    content[60] ^= 0xFF
    archive.write_bytes(content)
    assert_refused(archive, tmp_path, "damaged archive")


@pytest.mark.parametrize("keep", [0.3, 0.7])
@pytest.mark.parametrize("kind", ["zip", "tgz"])
def test_truncated_archive_is_rejected(tmp_path, kind, keep):
    path = tmp_path / f"x.{kind}"
    noise = bytes(i * i * 31 % 251 for i in range(20_000))
    make_zip(path, {"a": noise, "b": noise}) if kind == "zip" else make_tar(path, [("a", {"content": noise})])
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    assert_refused(path, tmp_path, "Delete it and download it again")


def test_no_archive_at_all(tmp_path):
    (tmp_path / "page.zip").write_text("<html>Please log in</html>")
    assert_refused(tmp_path / "page.zip", tmp_path, "neither a zip nor a tar")
    with pytest.raises(DataError, match="The archive .* does not exist"):
        extract(tmp_path / "gone.zip", tmp_path / "out")


def test_full_disk_is_seen_before(tmp_path, monkeypatch):
    archive = make_zip(tmp_path / "x.zip", FILES)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**12, 10**12, 1000))
    with pytest.raises(DataError, match=r"3\.0 kB are needed in .*1\.0 kB are free"):
        extract(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()
