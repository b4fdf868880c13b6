"""Digests of what small trainings compute, to prove that a change of the code changes no result.

    scripts/fingerprint --write before.json      (before the change)
    scripts/fingerprint --compare before.json    (after it; exit code 1 if a digest differs)

Covers every task, folds, a sweep, two ranks and a resume after SIGKILL. The digest of the weights is taken
over the tensors of the last checkpoint in their order, without their names, so that renaming a module does
not change it. The digest of the metrics covers every point of ``metrics.jsonl`` and the metrics in
``results.json``. Digests depend on the processor and on
the versions of torch: compare on one machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

EPOCHS = ["trainer.max_epochs=2"]
GENERAL = [
    "auto=false",
    "tracking=none",
    "plots=false",
    "baselines=false",
    "report=false",
    "hardware=cpu",
    "hardware.precision=32",
    "seed=3",
    "trainer.log_every_n_steps=1",
]
SHAPES = ["data.num_train=8", "data.num_val=4", "data.num_test=4", "data.batch_size=2"]
SHORT_TEXT = ["data.window=16", "data.batch_size=4", "+trainer.limit_train_batches=8"]
CLASSIFICATION = [
    "model=small_cnn", "data=digits", "regularization=strong", "checkpoint.every=5 steps",
    "+trainer.limit_train_batches=10",
]  # fmt: skip
CONFIGS: dict[str, list[str]] = {
    "classification": CLASSIFICATION,
    "regression": ["model=mlp", "data=diabetes", "scheduler=one_cycle"],
    "perceptron": ["model=perceptron", "data=pass_fail"],
    "detection_one_stage": [
        "data=shapes_detection",
        "model=ssdlite",
        "model.size=64",
        "data.image_size=64",
        *SHAPES,
    ],
    "detection_two_stage": [
        "data=shapes_detection",
        "model=faster_rcnn",
        "model.backbone=resnet18",
        "model.channels=32",
        "model.hidden_size=64",
        "model.anchor_sizes=[8,16,32,64,96]",
        "data.image_size=64",
        *SHAPES,
    ],
    "segmentation": ["data=shapes_segmentation", "model=unet", "data.image_size=32", *SHAPES],
    "sequence": [
        "data=brackets",
        "data.num_samples=100",
        "data.batch_size=8",
        "model=lstm",
        "model.hidden_size=8",
    ],
    "labelling": [
        "data=bracket_depth",
        "data.num_samples=100",
        "data.batch_size=8",
        "model=gru",
        "model.hidden_size=8",
    ],
    "seq2seq": [
        "data=dates",
        "data.num_train=64",
        "data.num_val=4",
        "data.num_test=4",
        "data.batch_size=8",
        "model.hidden_size=8",
        "model.embed_dim=8",
    ],
    "forecasting": ["data=waves", "model=dlinear", "data.batch_size=16", "+trainer.limit_train_batches=12"],
    "language": ["data=text_file", "data.path=TEXT", "model=gru", "model.hidden_size=8", *SHORT_TEXT],
    "word_vectors": [
        "data=word_pairs",
        "data.path=TEXT",
        "data.min_count=2",
        "model=skip_gram",
        "regularization=none",
        "data.batch_size=64",
        "+trainer.limit_train_batches=12",
    ],
    "folds": ["model=mlp", "data=digits", "folds=2", "+trainer.limit_train_batches=8"],
    "two_ranks": ["model=mlp", "data=digits", "hardware.devices=2", "+trainer.limit_train_batches=8"],
}
SWEEP = [
    "model=mlp",
    "data=digits",
    "optimizer.lr=0.001,0.01",
    "sweep=grid",
    "+trainer.limit_train_batches=8",
]
IGNORED_RESULTS = ("seconds", "best", "stopped")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", metavar="FILE", help="store the fingerprint")
    parser.add_argument("--compare", metavar="FILE", help="compare with a stored fingerprint")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="some of the configs")
    args = parser.parse_args()
    names = [*CONFIGS, "killed_and_resumed", "sweep"]
    unknown = sorted({*(args.only or [])} - {*names})
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}. Expected some of {', '.join(names)}.")
    with tempfile.TemporaryDirectory() as folder:
        prints = fingerprint(Path(folder), args.only or names)
    if args.write:
        Path(args.write).write_text(json.dumps(prints, indent=1) + "\n", encoding="utf-8")
    return compare(prints, json.loads(Path(args.compare).read_text(encoding="utf-8"))) if args.compare else 0


def fingerprint(folder: Path, names: Iterable[str]) -> dict[str, dict[str, str]]:
    (folder / "text.txt").write_text(text(), encoding="utf-8")
    prints: dict[str, dict[str, str]] = {}
    for name in names:
        if name == "sweep":
            runner(folder, "sweep", *SWEEP, *EPOCHS, *GENERAL, "sweep.name=sweep")
            runs = sorted((folder / "runs" / "sweep" / "trials").iterdir(), key=lambda path: path.name)
        elif name == "killed_and_resumed":
            runs = [killed_and_resumed(folder)]
        else:
            runner(folder, "train", *CONFIGS[name], *EPOCHS, *GENERAL, f"run.name={name}")
            run = folder / "runs" / name
            runs = sorted(run.glob("folds/*")) or [run]
        prints[name] = {"weights": digest(map(weights, runs)), "metrics": digest(map(metrics, runs))}
        print(
            f"{name:<22} weights {prints[name]['weights'][:16]} metrics {prints[name]['metrics'][:16]}",
            flush=True,
        )
    return prints


def text() -> str:
    """A text that never changes: sentences of a linear congruential generator."""
    words = [
        "the",
        "a",
        "one",
        "cat",
        "dog",
        "bird",
        "tree",
        "house",
        "river",
        "sees",
        "likes",
        "finds",
        "leaves",
        "old",
        "small",
        "green",
    ]
    state, chosen = 1, []
    for _ in range(4000):
        state = (1103515245 * state + 12345) % 2**31
        chosen.append(words[state // 65536 % len(words)])
    return "\n".join(" ".join(chosen[i : i + 8]) + "." for i in range(0, len(chosen), 8)) + "\n"


def command(folder: Path, verb: str, *words: str) -> list[str]:
    given = [word.replace("=TEXT", f"={folder / 'text.txt'}") for word in words]
    return [sys.executable, "-m", "runner", verb, *given]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}


def runner(folder: Path, verb: str, *words: str) -> None:
    """Runs one command of the program; its output is shown only if it fails."""
    done = subprocess.run(
        command(folder, verb, *words),
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(
            f"runner {verb} {' '.join(words)}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
        )


def killed_and_resumed(folder: Path) -> Path:
    """The configuration ``classification``, killed after its first checkpoint, then resumed."""
    words = [*CLASSIFICATION, *EPOCHS, *GENERAL, "run.name=killed"]
    run = folder / "runs" / "killed"
    with subprocess.Popen(
        command(folder, "train", *words), cwd=folder, env=environment(), stdout=-3, stderr=-3
    ) as process:
        while not (run / "checkpoints" / "index.json").exists():
            if process.poll() is not None:
                raise SystemExit("the run to be killed ended before its first checkpoint")
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    runner(folder, "resume", "killed")
    return run


def weights(run: Path) -> str:
    index = json.loads((run / "checkpoints" / "index.json").read_text(encoding="utf-8"))
    entries = index if isinstance(index, list) else index["checkpoints"]
    newest = max(entries, key=lambda entry: entry["step"])
    state = torch.load(run / "checkpoints" / newest["file"], weights_only=True)["state_dict"]
    sha = hashlib.sha256()
    for tensor in state.values():
        sha.update(f"{tuple(tensor.shape)} {tensor.dtype}".encode())
        sha.update(tensor.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()


def metrics(run: Path) -> str:
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    points = [{key: value for key, value in json.loads(line).items() if key != "time"} for line in lines]
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    kept: Mapping[str, Any] = {key: value for key, value in results.items() if key not in IGNORED_RESULTS}
    return json.dumps([points, kept], sort_keys=True)


def digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def compare(prints: Mapping[str, Any], before: Mapping[str, Any]) -> int:
    differing = [name for name in prints if prints[name] != before.get(name)]
    for name in differing:
        changed = [part for part in prints[name] if prints[name][part] != (before.get(name) or {}).get(part)]
        print(
            f"{name}: {' and '.join(changed)} differ"
            if name in before
            else f"{name}: not in the stored fingerprint"
        )
    print(f"{len(prints) - len(differing)} equal, {len(differing)} different")
    return 1 if differing else 0


if __name__ == "__main__":
    raise SystemExit(main())
