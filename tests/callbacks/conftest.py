"""The tiny training that recovery is tried on lies beside the soak test."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))
