"""Computation of a run's loss landscape, which can be interrupted and resumed."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from runner.callbacks.random_state import preserve_random_state
from runner.distributed.hardware import choose_hardware
from runner.errors import UserError
from runner.inference.evaluate import set_up_split
from runner.inference.load import Trained, find_checkpoint, load_trained
from runner.landscape.field import LossField, Samples
from runner.landscape.plane import Plane, make_plane
from runner.landscape.request import LandscapeRequest
from runner.run.checkpoints import Checkpoint, file_digest
from runner.run.directory import RunDir
from runner.run.journal import Journal, load_metrics

__all__ = ["Exploration", "Explored"]

DEVICES = {"cpu": "cpu", "gpu": "cuda", "mps": "mps"}


@dataclass
class Explored:
    """A computed loss landscape.

    Attributes:
        plane: the plane or line.
        losses: losses of the grid, with the shape ``plane.shape``; not finite where the loss diverges.
        centre: loss of the checkpoint.
        path: loss in the plane at each point of the path, ``(n,)``.
    """

    plane: Plane
    losses: np.ndarray
    centre: float
    path: np.ndarray


class Exploration:
    """Everything needed to compute the loss at any point of the plane; the constructor checks all of it.

    Weights are 32-bit for any precision of the run, because rounding would look like roughness.

    Args:
        run: the run.
        request: center, directions, grid and samples.

    Attributes:
        settings: everything that the losses depend on.
        points: coordinates, ``(m, k)``, in the order of ``Plane.points``.
        known: losses measured so far, by index of the point.

    Raises:
        UserError: the checkpoint, split or device does not exist, or the path does not define the requested
            directions.
    """

    def __init__(self, run: RunDir, request: LandscapeRequest) -> None:
        self.run = run
        self.request = request
        with preserve_random_state():
            self.trained = load_trained(run, request.checkpoint)
            device, self.num_threads = choose_device(self.trained, request.device)
            set_up_split(self.trained, run, request.split)
            task = self.trained.task.to(device)
            self.samples = Samples(self.trained.data, request.split, device, request.samples)
            to = None if request.to is None else find_checkpoint(run, request.to)
            with threads(1):  # a fixed number of threads gives a fixed order of additions
                self.plane = make_plane(run, task.model, request, to)
        self.points = self.plane.points()
        self.settings = self._settings(device)
        digest = hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode()).hexdigest()[:12]
        self.points_path = run.landscape / f"{request.kind}_{digest}.points.jsonl"
        self.known = {
            number: loss for number, loss in read_losses(self.points_path) if number < len(self.points)
        }

    def _settings(self, device: torch.device) -> dict[str, Any]:
        request = asdict(self.request) | {"resolution": self.request.num_points}
        return request | {
            "checkpoint": self.trained.checkpoint.name,
            "sha256": file_digest(self.trained.checkpoint),
            "path": [entry.sha256 or file_digest(entry.path) for entry in self.plane.checkpoints],
            "points": hashlib.sha256(self.points.tobytes()).hexdigest(),
            "samples": self.samples.count,
            "data": self.trained.data.facts.digest if self.trained.data.facts else "",
            "device": device.type,
            "torch": torch.__version__,
        }

    @property
    def checkpoints(self) -> list[Checkpoint]:
        """Checkpoints of the path, oldest first."""
        return self.plane.checkpoints

    def explore(self, show: Callable[[int], None] = lambda done: None) -> Explored:
        """Measures the missing points.

        Each loss is on disk within a second, so that an interrupted exploration resumes with bit-identical
        results.

        Args:
            show: called with the number of finished points.

        Raises:
            UserError: the checkpoint's own loss is not finite, or the folder cannot be written.
        """
        try:
            self.points_path.parent.mkdir(exist_ok=True)
            journal = Journal(self.points_path)
        except OSError as error:
            raise UserError(
                f"{self.points_path.parent} cannot be written: {error.strerror or error}."
            ) from error
        centre = self.plane.num_grid
        order = [centre, *(number for number in range(len(self.points)) if number != centre)]
        data, task = self.samples, self.trained.task
        try:
            with (
                preserve_random_state(),
                threads(self.num_threads),
                LossField(task, data, self.plane.directions, self.request.seed) as loss,
            ):
                for number in order:
                    if number not in self.known:
                        self.known[number] = loss(*self.points[number])
                        journal.log(number, 0, {"loss": self.known[number]})
                        show(len(self.known))
                    if number == centre and not math.isfinite(self.known[centre]):
                        raise UserError(
                            f"the loss of {self.trained.checkpoint.name} itself is {self.known[centre]} on "
                            f"the {self.request.split} split: there is nothing to see around it. Choose "
                            "another --checkpoint."
                        )
        finally:
            journal.close()
        losses = np.array([self.known[number] for number in range(len(self.points))])
        grid = losses[:centre].reshape(self.plane.shape)
        return Explored(self.plane, grid, float(losses[centre]), losses[centre + 1 :])


def read_losses(path: Path) -> Iterator[tuple[int, float]]:
    """Yields the index and the loss of each measured point."""
    for number, _, loss in load_metrics(path).get("loss", []):
        yield number, loss


def choose_device(trained: Trained, requested: str) -> tuple[torch.device, int | None]:
    """Returns the device and, for a CPU, the number of threads.

    Args:
        trained: the run's config and task.
        requested: ``auto``, ``cpu``, ``gpu`` or ``mps``.

    Raises:
        UserError: the device does not exist.
    """
    hardware = trained.config["hardware"]
    if requested == "auto":  # also for runs trained on a device that this machine lacks
        requested = "cpu" if hardware.get("accelerator") == "cpu" else "auto"
    if requested == "mps" and not torch.backends.mps.is_available():
        raise UserError("--device mps, but PyTorch sees no Apple GPU here. Take --device auto.")
    if requested == "gpu" and not torch.cuda.is_available():
        raise UserError("--device gpu, but PyTorch sees no CUDA device here. Take --device auto.")
    chosen = choose_hardware(hardware | {"accelerator": requested}, trained.task.model)
    return torch.device(DEVICES[chosen.accelerator]), chosen.num_threads


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Sets the number of threads of one operation within the block; None leaves it unchanged."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
