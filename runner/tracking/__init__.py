"""The mirror of a run directory in MLflow.

The training process writes the run directory and starts ``runner.tracking.sidecar``, a separate process that
reads the directory and sends it to the store. Tracking therefore does not slow down training, no point is
lost if the store is unavailable, and a run whose worker was killed still gets its final status in the
dashboard.

Importing this package does not import MLflow.
"""

from runner.config.tracking import Tracking
from runner.tracking.mirror_process import MirrorProcess, start

__all__ = ["MirrorProcess", "Tracking", "start"]
