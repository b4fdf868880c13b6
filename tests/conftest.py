"""What tests of several rooms share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with data sets that are too large for the repository; without it the test is left out."""
    folder = Path(os.environ.get("RUNNER_SHARED_DATA") or CHECKOUT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(
            f"needs the data sets in {folder}, which is absent; RUNNER_SHARED_DATA names another folder"
        )
    return folder
