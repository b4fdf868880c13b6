"""The mirror of a run directory in MLflow.

The training process writes the run directory and starts ``runner.tracking.sidecar``, a process of its own
that reads the directory and ships it. So a step of training pays nothing for tracking, a store that dies
costs no point, and a run whose worker was killed still ends truthfully in the dashboard.

Nothing imported here imports MLflow.
"""

from runner.config.tracking import Tracking
from runner.tracking.mirror_process import MirrorProcess, start

__all__ = ["MirrorProcess", "Tracking", "start"]
