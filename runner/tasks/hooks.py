"""Hooks of a task that predict, explain, embed, export and cross-validation call on a trained model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ClassVar

import torch
from PIL.Image import Image
from pytorch_lightning import LightningModule
from torch import Tensor, nn

from runner.data.base import DataModule
from runner.errors import UserError
from runner.tasks.embedding import LastLinearInput
from runner.tasks.explanation import ExplainedOutput, ExplanationRequest, ExplanationTarget
from runner.tasks.outputs import plain_values

__all__ = ["TaskHooks"]


class TaskHooks(LightningModule):
    """Optional hooks of a task. Every hook has a default, so a task overrides only those it needs.

    Attributes:
        model: the trained model.
        class_names: class names in the order of the ids; empty without classes.
        served_as: description of the output of a served model.
        explains_steps: whether predictions have steps, of which ``runner explain --step`` selects one.
        explained_output: form of the model's output for an image. Grad-CAM uses the last feature maps for
            ``numbers``, the input of the last convolution for ``maps``, and all levels of the feature
            pyramid, weighted at each location, for ``boxes``.
    """

    model: nn.Module
    class_names: list[str]
    served_as: str = "outputs"
    explains_steps: ClassVar[bool] = False
    explained_output: ClassVar[ExplainedOutput] = "numbers"

    @classmethod
    def title(cls) -> str:
        """Returns the name of the task in messages: the class name without ``Task``, in lower case."""
        return cls.__name__.removesuffix("Task").lower()

    def overrides(self, hook: str) -> bool:
        """Returns whether the task defines an optional hook itself.

        Args:
            hook: name of the hook, such as ``generate``.
        """
        return getattr(type(self), hook) is not getattr(TaskHooks, hook)

    # Prediction

    def read_inputs(self, data: DataModule, inputs: Sequence[str]) -> Iterable[tuple[str, Tensor]]:
        """Yields the name and the tensor of each input on the command line of ``runner explain``.

        Args:
            data: the run's data module.
            inputs: file names, folders or texts.

        Raises:
            DataError: an input cannot be read; the message contains its name.
            UserError: an input is not suitable for the model.
        """
        return data.read_inputs(list(inputs))

    def predict_outputs(self, inputs: Any) -> dict[str, Any]:
        """Computes the outputs of a batch without targets, in the format of the data module.

        By default, ``outputs`` is the model's output.

        Args:
            inputs: model inputs, ``(N, …)``.
        """
        return {"outputs": self(inputs)}

    def rows(self, outputs: dict[str, Any]) -> list[dict[str, Any]]:
        """Returns one plain dict per sample, for ``predict``.

        By default, it contains the values of every output.

        Args:
            outputs: as returned by ``predict_outputs``.
        """
        columns = {name: plain_values(values) for name, values in outputs.items()}
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def pictures(self, inputs: Sequence[Tensor], outputs: dict[str, Any]) -> list[dict[str, Image]]:
        """Returns the named images of each input that ``predict --output FOLDER`` saves along with the rows.

        Args:
            inputs: as returned by the data module's ``read_inputs``.
            outputs: as returned by ``predict_outputs``.
        """
        return [{} for _ in inputs]

    def served(self, outputs: dict[str, Any]) -> Tensor:
        """Selects the output tensor of a served model; by default the first one.

        Args:
            outputs: as returned by ``predict_outputs``.
        """
        return next(iter(outputs.values()))

    def generate(
        self,
        prompt: Tensor,
        length: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Continues prompts by sampling, for ``predict --prompt``: token ids ``(N, P)`` → ``(N, length)``.

        Args:
            prompt: token ids of the texts to continue.
            length: number of tokens to generate.
            temperature: sampling temperature; values below 1 favor likely tokens, 0 always selects the most
                likely.
            top_k: sample from the ``top_k`` most likely tokens; from all if None.
            generator: random generator on the CPU.

        Raises:
            UserError: the task does not generate tokens, which is the default.
        """
        raise UserError(f"--prompt is for language models; runs of {self.title()} do not generate text.")

    # Evaluation

    def figures(self, split: str, data: Any) -> Iterator[tuple[str, Any]]:
        """Yields ``(name, Figure)`` pairs drawn from ``outputs[split]``; none by default.

        Args:
            split: ``train``, ``val`` or ``test``.
            data: the run's data module.
        """
        return iter(())

    def report_texts(self, data: Any) -> dict[str, Any]:
        """Returns texts for the report page, as plain containers; none by default.

        Args:
            data: the run's data module.
        """
        return {}

    def evaluated_rows(self, outputs: dict[str, Any]) -> list[dict[str, Any]]:
        """Returns one plain dict per sample with its ``target`` and ``prediction``, for cross-validation.

        By default, these are the outputs ``targets`` and ``preds``; without both, there are no rows.

        Args:
            outputs: collected outputs of an evaluated split.
        """
        if not {"targets", "preds"} <= outputs.keys():
            return []
        pairs = zip(plain_values(outputs["targets"]), plain_values(outputs["preds"]), strict=True)
        return [{"target": target, "prediction": pred} for target, pred in pairs]

    # Embeddings

    def embed(self, inputs: Any) -> Tensor:
        """Returns the vector of each sample, ``(N, D)``, for ``runner embed``.

        By default, this is the input of the model's last linear layer, averaged over the steps of sequences.

        Args:
            inputs: model inputs, ``(N, …)``.

        Raises:
            UserError: the model has no linear layer that receives one vector per sample.
        """
        with LastLinearInput(self.model) as layer:
            self.predict_outputs(inputs)
        return layer.take(len(inputs))

    def token_vectors(self) -> Tensor | None:
        """Returns the vectors of all tokens, ``(K, D)``, for ``runner embed --tokens``; None without tokens.

        By default, these are the weights of ``model.embedding``.
        """
        table = getattr(self.model, "embedding", None)
        return table.weight.detach() if isinstance(table, nn.Embedding) else None

    # Explanations

    def why_not_explained(self) -> str | None:
        """Returns why ``runner explain`` does not support the task; None if it does."""
        if self.overrides("explanation_targets"):
            return None
        return (
            f"`runner explain` has no method for runs of {self.title()}: it defines no explanation_targets()."
        )

    def prepare_explanation(self) -> None:
        """Changes the loaded model before it is explained; does nothing by default."""

    def explanation_targets(self, request: ExplanationRequest) -> list[ExplanationTarget]:
        """Returns the numbers of a prediction to explain.

        Args:
            request: the input and the requested part of its prediction.

        Returns:
            One target, or several for a prediction with several parts; none if the prediction does not
            contain the requested target.

        Raises:
            UserError: the requested class, column or step does not exist.
        """
        raise UserError(str(self.why_not_explained()))

    def nothing_to_explain(self, target: str | None) -> str:
        """Describes a prediction without the requested target: the end of "the model finds …".

        Args:
            target: value of ``--target``; None if it was not given.
        """
        return f"no {target or 'output to explain'}"

    def explained_tokens(self, ids: Sequence[int], data: Any) -> list[str]:
        """Returns the text of each token of an input.

        By default, the data module's ``tokenizer`` is used.

        Args:
            ids: token ids of the input, ``(T,)``.
            data: the run's data module.
        """
        return [data.tokenizer.token(number) for number in ids]

    def baseline_color(self) -> Sequence[float] | None:
        """Returns the mean color of images ``(C,)``, the baseline of their attributions.

        None means that the data module standardizes images, so that the baseline is zero.
        """
        return None

    def permutation_quality(self, target: str | None) -> tuple[str, Callable[[Tensor, Tensor], Tensor]]:
        """Returns the quality that permutation importance measures: its name, and a function.

        The function maps model inputs ``(N, F)`` and targets ``(N, …)`` to a number; higher is better. By
        default, it is the negative loss.

        Args:
            target: requested class or column; None for all.

        Raises:
            UserError: the quality of a single target is not defined, or the target does not exist.
        """
        if target is not None:
            raise UserError("--target would have no effect: permutation importance is measured on the loss.")

        def quality(inputs: Tensor, targets: Tensor) -> Tensor:
            index = torch.arange(len(inputs), device=inputs.device)
            return -self.eval_step({"inputs": inputs, "targets": targets, "index": index}).loss

        return "negative loss", quality

    def eval_step(self, batch: dict[str, Any]) -> Any:
        """Computes loss and outputs of an evaluation batch; see ``Task.eval_step``.

        Args:
            batch: ``inputs``, ``targets`` and ``index`` of N samples.
        """
        raise TypeError(f"{type(self).__name__} must define eval_step()")
