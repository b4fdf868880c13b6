"""Downloads from a loopback server that cuts, lies and refuses."""

import hashlib
import random
import shutil
import threading
from pathlib import Path

import pytest

from runner.data.download.file import data_folder, download
from runner.errors import DataError

BODY = random.Random(0).randbytes(3_000_000)
SHA256 = hashlib.sha256(BODY).hexdigest()

pytestmark = pytest.mark.usefixtures("no_pauses")


@pytest.fixture
def url(server) -> str:
    server.files["data.zip"] = BODY
    return server.url("data.zip")


def test_fetches_and_does_not_fetch_again(server, url, tmp_path):
    path = download(url, tmp_path / "deep" / "data.zip", SHA256, len(BODY))
    assert path.read_bytes() == BODY
    assert download(url, path, SHA256, len(BODY)) == path
    assert server.asked == [None]
    assert not Path(f"{path}.part").exists()


def test_download_continues_after_interruptions(server, url, tmp_path):
    server.cuts = [1_000_000, 500_000, 0, 700_001]
    path = download(url, tmp_path / "data.zip", SHA256, len(BODY))
    assert path.read_bytes() == BODY
    starts = [int(span[6:-1]) if span else 0 for span in server.asked]
    assert starts == sorted(starts) and starts[0] == 0 and starts[-1] > 2_000_000
    assert len(starts) == 5


def test_more_cuts_than_retries_are_survived_as_long_as_bytes_come(server, url, tmp_path):
    server.cuts = [300_000] * 9
    assert download(url, tmp_path / "data.zip", SHA256).read_bytes() == BODY


def test_download_continues_after_a_kill(server, url, tmp_path):
    (tmp_path / "data.zip.part").write_bytes(BODY[:1234])
    assert download(url, tmp_path / "data.zip", SHA256, len(BODY)).read_bytes() == BODY
    assert server.asked == ["bytes=1234-"]


def test_whole_part_file_needs_no_request(server, url, tmp_path):
    (tmp_path / "data.zip.part").write_bytes(BODY)
    assert download(url, tmp_path / "data.zip", SHA256, len(BODY)).read_bytes() == BODY
    assert server.asked == []


def test_server_without_ranges_starts_again(server, url, tmp_path):
    server.ranges = False
    server.cuts = [2_000_000]
    assert download(url, tmp_path / "data.zip", SHA256, len(BODY)).read_bytes() == BODY
    assert len(server.asked) == 2


def test_server_without_ranges_that_always_cuts_is_given_up_on(server, url, tmp_path):
    server.ranges = False
    server.cuts = [2_000_000] * 50
    with pytest.raises(DataError, match="5 attempts"):
        download(url, tmp_path / "data.zip", SHA256, len(BODY))
    assert len(server.asked) == 5


def test_part_of_another_file_is_discarded(server, url, tmp_path):
    (tmp_path / "data.zip.part").write_bytes(b"x" * 5000)
    assert download(url, tmp_path / "data.zip", SHA256, len(BODY)).read_bytes() == BODY
    assert server.asked == ["bytes=5000-", None]


def test_part_longer_than_the_file_is_discarded(server, url, tmp_path):
    (tmp_path / "data.zip.part").write_bytes(b"x" * (len(BODY) + 7))
    assert download(url, tmp_path / "data.zip", SHA256, len(BODY)).read_bytes() == BODY


def test_wrong_checksum_leaves_nothing(url, tmp_path):
    with pytest.raises(DataError) as caught:
        download(url, tmp_path / "data.zip", "0" * 64, len(BODY))
    assert SHA256 in str(caught.value) and "0" * 64 in str(caught.value) and url in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] in ([], ["data.zip.lock"])


def test_wrong_size_is_rejected_before_the_body(url, tmp_path):
    with pytest.raises(DataError, match=r"offers 3000000 bytes, expected 824887076"):
        download(url, tmp_path / "data.zip", SHA256, 824887076)


def test_busy_server_is_retried(server, url, tmp_path):
    server.statuses = [503, 429]
    assert download(url, tmp_path / "data.zip", SHA256).read_bytes() == BODY


def test_refusal_is_final(server, tmp_path):
    with pytest.raises(DataError, match="404") as caught:
        download(server.url("gone.zip"), tmp_path / "gone.zip", SHA256, 5)
    assert len(server.asked) == 1
    assert str(tmp_path / "gone.zip") in str(caught.value) and "manually" in str(caught.value)


def test_offline_message_describes_the_manual_download(server, url, tmp_path):
    server.close()
    with pytest.raises(DataError, match="connection failed") as caught:
        download(url, tmp_path / "data.zip", SHA256, len(BODY))
    for needed in (url, str(tmp_path / "data.zip"), SHA256, str(len(BODY)), "manually"):
        assert needed in str(caught.value)


def test_manually_placed_file_is_used_or_rejected_but_never_deleted(server, url, tmp_path):
    path = tmp_path / "data.zip"
    path.write_bytes(BODY)
    assert download(url, path, SHA256, len(BODY)) == path
    path.write_bytes(BODY[:-1] + b"!")
    with pytest.raises(DataError, match="not the expected file: its SHA-256 is"):
        download(url, path, SHA256, len(BODY))
    path.write_bytes(b"half")
    with pytest.raises(DataError, match=f"it has 4 bytes, expected {len(BODY)}"):
        download(url, path, SHA256, len(BODY))
    assert path.read_bytes() == b"half" and server.asked == []


def test_full_disk_is_seen_before_the_first_byte(server, url, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**12, 10**12, 5_000_000))
    with pytest.raises(DataError, match=r"6\.0 MB are needed in .*, 5\.0 MB are free"):
        download(url, tmp_path / "data.zip", SHA256, len(BODY), extra_bytes=3_000_000)
    assert server.asked == []
    download(url, tmp_path / "data.zip", SHA256, len(BODY), extra_bytes=2_000_000)


def test_folder_that_cannot_be_made_is_named(url, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="RUNNER_DATA"):
        download(url, tmp_path / "file" / "data.zip", SHA256)


def test_concurrent_processes_download_once(server, url, tmp_path):
    threads = [
        threading.Thread(target=download, args=(url, tmp_path / "data.zip", SHA256, len(BODY)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.asked == [None]
    assert (tmp_path / "data.zip").read_bytes() == BODY


def test_plain_lines_without_a_terminal(url, tmp_path, capfd):
    download(url, tmp_path / "data.zip", SHA256, len(BODY))
    error = capfd.readouterr().err
    assert error.splitlines() == [
        "Downloading data.zip: 3.0 MB",
        "Downloading data.zip: 3.0 MB of 3.0 MB (100 %)",
    ]


def test_data_folder_is_chosen_by_argument_then_environment(monkeypatch, tmp_path):
    monkeypatch.delenv("RUNNER_DATA", raising=False)
    assert data_folder() == Path.home() / ".cache" / "runner"
    monkeypatch.setenv("RUNNER_DATA", str(tmp_path / "env"))
    assert data_folder() == tmp_path / "env"
    assert data_folder(str(tmp_path / "own")) == tmp_path / "own"
