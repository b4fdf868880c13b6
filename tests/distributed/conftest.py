"""Runs on several ranks lie beside the tests that need them."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))
