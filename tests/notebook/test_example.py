"""The example notebook runs in a real kernel."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs" / "notebooks" / "first_run.ipynb"


@pytest.mark.slow
def test_example_notebook(tmp_path: Path) -> None:
    nbclient = pytest.importorskip("nbclient", reason="needs nbclient and ipykernel")
    pytest.importorskip("ipykernel", reason="needs nbclient and ipykernel")
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = {
        number: [output for output in cell.get("outputs", [])] for number, cell in enumerate(notebook.cells)
    }
    pictures = [
        cell for cell, items in outputs.items() if any("image/png" in i.get("data", {}) for i in items)
    ]
    assert len(pictures) == 6, "batch, range test, curves, results, losses, explanation"
    pages = [item["data"].get("text/html", "") for item in outputs[4] if "data" in item]
    assert sum("<svg" in page for page in pages) == 1, "one live output with curves"
    assert "accuracy" in outputs[5][0]["data"]["text/html"]
    assert not any(item["output_type"] == "error" for items in outputs.values() for item in items)


def test_example_notebook_is_stored_without_outputs() -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert [cell for cell in cells if cell.get("outputs")] == []
