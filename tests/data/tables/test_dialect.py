"""Encodings and separators of table files."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from runner.data.tables.dialect import first_cells, open_table
from runner.data.tables.file import read_table
from runner.errors import DataError

TEXT = "name,x\nü,1\n日本,2\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_encodings_are_detected(tmp_path: Path, encoding: str):
    text = TEXT if encoding not in ("utf-16-le", "utf-16-be") else TEXT.replace("日本", "Jp")
    content = text.encode(encoding)
    for name, stored in (("t.csv", content), ("t.csv.gz", gzip.compress(content))):
        (tmp_path / name).write_bytes(stored)
        table = read_table(tmp_path / name)
        assert table.to_csv(index=False, lineterminator="\n") == text
        file, separator = open_table(tmp_path / name)
        with file:
            assert (file.read(), separator) == (text, ",")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("line", ["sep=;", '"sep=;"', "SEP=;"])
def test_separator_line_of_excel(tmp_path: Path, encoding: str, line: str):
    (tmp_path / "t.csv").write_bytes(f"{line}\r\na;b,c\r\n1;2\r\n".encode(encoding))
    table = read_table(tmp_path / "t.csv")
    assert list(table.columns) == ["a", "b,c"] and table.iloc[0].tolist() == ["1", "2"]
    assert first_cells(tmp_path / "t.csv") == (";", ["a", "b,c"])


def test_separator_line_with_an_escaped_tab(tmp_path: Path):
    (tmp_path / "t.csv").write_text("sep=\\t\na\tb,c\n1\t2\n")
    assert first_cells(tmp_path / "t.csv") == ("\t", ["a", "b,c"])
    assert read_table(tmp_path / "t.csv").iloc[0].tolist() == ["1", "2"]


def test_large_utf16_file(tmp_path: Path):
    (tmp_path / "t.csv").write_bytes(("x,y\n" + "ü,1\n" * 30_000).encode("utf-16"))
    assert len(read_table(tmp_path / "t.csv")) == 30_000


def test_other_bytes_are_rejected(tmp_path: Path):
    (tmp_path / "latin.csv").write_bytes(b"a,b\n\xfc,1\n")
    with pytest.raises(DataError, match="is not UTF-8 text .*data.encoding=NAME .*save it as UTF-8"):
        read_table(tmp_path / "latin.csv")
    (tmp_path / "binary.csv").write_bytes(bytes(range(256)) * 4)
    with pytest.raises(DataError, match="holds binary data"):
        read_table(tmp_path / "binary.csv")
