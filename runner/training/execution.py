"""One attempt at a run: data, facts, model, task, trainer, results."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from typing import Any

import torch
from filelock import FileLock
from pytorch_lightning import Callback, Trainer, seed_everything
from torch import Tensor

from runner.baselines.compute import run_baselines
from runner.callbacks.checkpoint_io import RunCheckpointIO
from runner.callbacks.lightning_internals import callbacks_of
from runner.callbacks.metrics_logger import JournalLogger
from runner.callbacks.progress import Progress
from runner.config.checks.environment import check_batch_division
from runner.config.plain import to_yaml
from runner.data.base import DataModule
from runner.data.measurements import spread
from runner.distributed.collectives import barrier
from runner.distributed.fsdp_checkpoint import copy_weights
from runner.distributed.hardware import ResolvedHardware, choose_hardware, describe_device
from runner.distributed.heartbeat import Heartbeat
from runner.distributed.load_errors import describe_unloadable
from runner.distributed.prepare import prepare_model
from runner.distributed.process_info import ProcessInfo
from runner.errors import BudgetSpent, UserError
from runner.models.tabm import FitsInputs
from runner.models.weights import load_weights
from runner.optim.group_names import group_names
from runner.optim.groups import mark_groups
from runner.optim.range_test import RangeTest
from runner.report import console
from runner.report.baselines import best_baseline
from runner.report.figures import draw_figures
from runner.report.format import duration
from runner.run.checkpoints import best_checkpoint, last_checkpoint
from runner.run.directory import RunDir, absolute_paths, is_fold, is_trial
from runner.run.files import read_json, write_json, write_text
from runner.run.format import FORMAT_VERSION
from runner.run.provenance import record_worker, recorded_changes
from runner.run.status import read_status, write_status
from runner.tasks.base import Task
from runner.training.batch_counts import check_batch_counts
from runner.training.batch_norm_samples import check_batch_norms, values_per_channel
from runner.training.components import adapt_facts, make_data, make_model, make_task, resolve, task_class
from runner.training.folds import write_predictions
from runner.training.hardware_benchmark import hardware_by_measure
from runner.training.learning_rate import LearningRate
from runner.training.lr_finder import chosen_lr, find_lr, wants_finder, write_range_test
from runner.training.resume_check import check_resume
from runner.training.time_estimate import describe_steps
from runner.training.trainer import make_trainer

__all__ = ["Execution", "check_trained"]


class Execution:
    """One attempt at a run, from its config to its results."""

    def __init__(
        self,
        run: RunDir,
        config: Any,
        callbacks: Sequence[Callback],
        process_info: ProcessInfo,
        heartbeat: Heartbeat,
        data: DataModule | None = None,
    ) -> None:
        self.run = run
        self.process_info = process_info
        self.heartbeat = heartbeat
        self.callbacks = callbacks
        self.started = time.monotonic()
        seed_everything(config.seed, workers=False, verbose=False)
        raw = resolve(config, None)
        self.data = data or self.make_data(raw)
        self.data.set_rank(process_info.rank, process_info.world_size)
        check_batch_division(self.data.batch_size, self.data.eval_batch_size, process_info.world_size)
        self.data.balance = (raw.get("sampling") or {}).get("balance", 0.0)
        facts = adapt_facts(raw, self.data.require_facts())
        self.data.facts = facts
        self.config = resolve(config, facts)
        check_batch_counts(self.data, self.config)
        self.stopped: str | None = None
        self.printed: set[str] = set()
        self.resumed = last_checkpoint(run, describe_unloadable)
        version = read_status(run).format_version
        if self.resumed is not None:
            before, known_changes = read_json(run.facts_path, {}), recorded_changes(run)
            check_resume(self.resumed, self.config, before, facts.as_dict(), known_changes, version)
        if process_info.is_first:
            write_json(run.facts_path, facts.as_dict() | {"dropped": self.data.dropped.as_list()})
            write_text(run.config_path, to_yaml(self.config), durable=True)
            if version < FORMAT_VERSION:
                write_status(run, format_version=FORMAT_VERSION)
        self.learning_rate = self.decide_learning_rate()
        why = (
            self.measure_hardware() if self.config["hardware"].get("measure") and self.resumed is None else ""
        )
        self.task, self.hardware = self.make_task(self.config)
        self.hardware.reasons += [why] if why else []

    def make_data(self, raw: dict[str, Any]) -> DataModule:
        data = make_data(absolute_paths(self.run, raw))
        with FileLock(self.run.path / ".prepare.lock") if self.process_info.under_agent else nullcontext():
            data.prepare_data()  # one rank at a time: the first one downloads
        data.setup("fit")
        return data

    @property
    def only_finds_lr(self) -> bool:
        return self.config["debug"]["kind"] == "find_lr"

    def decide_learning_rate(self) -> LearningRate:
        """Decide the learning rate, by a range test for ``optimizer.lr=auto``.

        The result of the test is written into the run's config, so a resumed run keeps it.
        """
        if not wants_finder(self.config) or self.only_finds_lr:
            return LearningRate.of(self.config, self.data.batch_size, self.run)
        console.text("optimizer.lr=auto: running a learning-rate range test first.")
        test = self.find_lr()
        suggested = chosen_lr(test, self.config)
        decided = LearningRate.of(self.config, self.data.batch_size, self.run, suggested)
        self.config = decided.recorded_in(self.config)
        if self.process_info.is_first:
            write_text(self.run.config_path, to_yaml(self.config), durable=True)
        console.text(f"optimizer.lr={suggested:.3g}, found in {len(test.rates)} steps (plots/lr_finder.png).")
        return decided

    def measure_hardware(self) -> str:
        """Writes the fastest measured settings into the run's config, replacing null. Returns the reason."""
        node, why = hardware_by_measure(self.run, self.config, self.data, self.make_task, self.process_info)
        self.config = self.config | {"hardware": node}
        if self.process_info.is_first:
            write_text(self.run.config_path, to_yaml(self.config), durable=True)
        return why

    def find_lr(self) -> RangeTest:
        test = find_lr(self.run, self.config, self.data, self.make_task, self.process_info, self.heartbeat)
        if self.process_info.is_first:
            write_range_test(self.run, test, self.config)
        return test

    def make_task(self, config: dict[str, Any]) -> tuple[Task, ResolvedHardware]:
        model = make_model(config)
        if isinstance(model, FitsInputs) and self.resumed is None:
            model.fit_inputs(training_inputs(self.data))
        with values_per_channel(model) as counts:
            task_class(config).check_model(model, self.data.require_facts())
        check_batch_norms(model, counts, self.data, config, self.process_info.world_size)
        if config.get("weights") and self.resumed is None:
            summary = load_weights(model, absolute_paths(self.run, config)["weights"]).summary
            if summary not in self.printed:  # a benchmark builds the model, too
                console.text(summary)
                self.printed.add(summary)
        hardware = choose_hardware(config["hardware"], model)
        if hardware.num_threads:
            torch.set_num_threads(hardware.num_threads)
        node = config["hardware"]
        model = prepare_model(
            model, node, hardware.accelerator, hardware.channels_last, self.process_info.world_size
        )
        mark_groups(model, config.get("parameter_groups") or [])
        # Not self.learning_rate: a range test and a benchmark build tasks from configs of their own.
        task = make_task(LearningRate.of(config, self.data.batch_size).applied_to(config), model)
        task.channels_last, task.decode = hardware.channels_last, self.data.decode
        if hardware.compile:
            task.model.compile()
        return task, hardware

    def results(self) -> dict[str, Any]:
        return self.range_test_results() if self.only_finds_lr else self.training_results()

    def range_test_results(self) -> dict[str, Any]:
        console.plan(self.run, self.config, self.data, self.task, self.hardware, None)
        test = self.find_lr()
        logger = JournalLogger(self.run, writes=self.process_info.is_first)
        rows = zip(test.rates, test.losses, test.smoothed, strict=True)
        for step, (rate, loss, mean) in enumerate(rows):
            logger.log_metrics(
                {"find_lr/lr": rate, "find_lr/loss": loss, "find_lr/smoothed_loss": mean}, step
            )
        logger.close()
        results = {
            "find_lr": test.suggestions,
            "ended": test.ended,
            "step": len(test.rates),
            "epoch": 0,
            "seconds": round(time.monotonic() - self.started, 3),
        }
        if self.process_info.is_first:
            write_json(self.run.results_path, results)
        return results

    def training_results(self) -> dict[str, Any]:
        trainer = make_trainer(
            self.run,
            self.config,
            self.task,
            self.hardware,
            self.learning_rate,
            self.process_info,
            self.heartbeat,
        )
        trainer.callbacks.extend(self.callbacks)  # type: ignore[attr-defined]  # set in Lightning's __init__
        console.plan(
            self.run, self.config, self.data, self.task, self.hardware, self.resumed, self.steps_text()
        )
        if self.process_info.is_first:
            record_worker(
                self.run,
                device=describe_device(self.hardware.accelerator),
                precision=self.hardware.precision,
                num_threads=torch.get_num_threads(),
                world_size=self.process_info.world_size,
            )
        self.fit(trainer)
        check_trained(trainer.global_step)
        groups = trainer.optimizers[0].param_groups if trainer.optimizers else []
        named_groups = group_names(groups, self.task.model)
        journal_of(trainer).save(durable=True)
        barrier()  # all ranks must see the same checkpoints
        results = self.evaluate(trainer)
        results |= {"parameter_groups": named_groups} if len(named_groups) > 1 else {}
        if self.process_info.is_first:
            if self.config.get("folds"):
                write_predictions(self.run, self.task, self.data, self.config["folds"]["index"])
            write_json(self.run.results_path, results)
            if self.compares_baselines:
                results |= self.baseline_results(trainer, results)
                write_json(self.run.results_path, results)
            if self.config["plots"]:
                draw_figures(self.run, self.task, self.data)
        journal_of(trainer).close()
        return results

    def steps_text(self) -> str:
        """Returns the number of steps and, unless other runs are waiting, their estimated duration.

        With ``transfer`` the cost depends on which layers are frozen; its callbacks report it.
        """
        is_part = is_trial(self.run) or is_fold(self.run) or self.config["debug"]["kind"] is not None
        is_timed = not is_part and not self.config.get("transfer")
        task, hardware = (self.task, self.hardware) if is_timed else (None, None)
        done = 0 if self.resumed is None else self.resumed.step
        return describe_steps(self.config, self.data, task, hardware, done)

    @property
    def compares_baselines(self) -> bool:
        """Whether this run reports baselines: trials, folds and debug runs do not."""
        is_part = is_trial(self.run) or is_fold(self.run)
        return bool(self.config.get("baselines")) and not is_part and self.config["debug"]["kind"] is None

    def baseline_results(self, trainer: Trainer, results: dict[str, Any]) -> dict[str, Any]:
        """Fits the baselines and logs the scores of the best one as ``baseline/SPLIT/METRIC``."""
        baselines = run_baselines(self.data, results["seconds"])
        monitor, mode = self.task.monitor, self.task.mode
        best = best_baseline(baselines, monitor.partition("/")[2], mode == "min")
        if best is not None:
            scores = {
                f"baseline/{split}/{name}": value
                for split, metrics in best["metrics"].items()
                for name, value in metrics.items()
            }
            journal_of(trainer).log_metrics(scores, step=results["step"])
        return {"baselines": baselines} if baselines else {}

    def fit(self, trainer: Trainer) -> None:
        resumed = str(self.resumed) if self.resumed else None
        try:
            trainer.fit(self.task, datamodule=self.data, ckpt_path=resumed, weights_only=True)
        except BudgetSpent as error:
            self.stopped = str(error)
            console.text(self.stopped)
            console.text(evaluation_cost(trainer, self.data))
        except BaseException:
            with suppress(OSError):  # on a full disk, the original error must be reported
                journal_of(trainer).close()
            raise

    def evaluate(self, trainer: Trainer) -> dict[str, Any]:
        """Metrics of the best checkpoint on the validation split and, if it exists, the test split."""
        step, epoch = trainer.global_step, trainer.current_epoch
        best = best_checkpoint(self.run, describe_unloadable)
        if best is not None:
            copy_weights(RunCheckpointIO().load_checkpoint(best.path)["state_dict"], self.task)
        self.task.collect = True
        metrics = {"val": evaluate_split(trainer, self.task, self.data, "val")}
        if len(self.data.splits.get("test", ())):
            metrics["test"] = evaluate_split(trainer, self.task, self.data, "test")
            journal_of(trainer).log_metrics(metrics["test"], step=step)
        parameters = list(self.task.model.parameters())
        previous = read_json(self.run.results_path, {})
        return {
            "best": None if best is None else best.as_dict(),
            **metrics,
            "step": step,
            "epoch": epoch,
            **({"stopped": self.stopped} if self.stopped else {}),
            "num_parameters": sum(p.numel() for p in parameters),
            "num_trainable": sum(p.numel() for p in parameters if p.requires_grad),
            "seconds": round(time.monotonic() - self.started + previous.get("seconds", 0.0), 3),
        }


def training_inputs(data: DataModule, num_most: int = 10_000) -> Tensor:
    """Returns normalized inputs of up to ``num_most`` training samples, ``(n, …)``."""
    split = data.as_held_out("train")
    batch = split.__getitems__([(0, index) for index in spread(len(split), num_most)])
    inputs: Tensor = data.normalize(batch["inputs"])
    return inputs


def evaluation_cost(trainer: Trainer, data: DataModule) -> str | None:
    """Returns a line with the cost of the final evaluation, judged by the validations of this attempt."""
    sizes = {split: len(data.splits.get(split, ())) for split in ("val", "test")}
    seconds = next((c.validation_s for c in callbacks_of(trainer) if isinstance(c, Progress)), None)
    if not seconds or not sizes["val"]:
        return None
    samples = " and ".join(f"{size:,} {split}" for split, size in sizes.items() if size)
    expected = duration(seconds * (1 + sizes["test"] / sizes["val"]))
    return f"The best checkpoint is evaluated on {samples} samples, which takes about {expected}."


def journal_of(trainer: Trainer) -> JournalLogger:
    """Returns the logger of a run's trainer."""
    assert isinstance(trainer.logger, JournalLogger)
    return trainer.logger


def evaluate_split(trainer: Trainer, task: Task, data: DataModule, split: str) -> dict[str, float]:
    evaluate = trainer.validate if split == "val" else trainer.test
    if not len(data.splits.get(split, ())):
        return {}
    evaluate(task, datamodule=data, verbose=False)
    return {
        key: float(value) for key, value in trainer.callback_metrics.items() if key.startswith(f"{split}/")
    }


def check_trained(num_steps: int) -> None:
    """Checks that the model was trained at all.

    Raises:
        UserError: training ended before its first optimizer update, so any metrics would be those of an
            untrained model.
    """
    if num_steps == 0:
        raise UserError(
            "training ended without a single optimizer update, so no metrics are reported. Check "
            "trainer.max_time, trainer.max_steps, trainer.limit_train_batches and data.batch_size."
        )
