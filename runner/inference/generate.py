"""Generation of text from the language model of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from runner.data.text.table import read_text
from runner.data.text.tokenizer import UNKNOWN
from runner.distributed.hardware import available_accelerator
from runner.errors import UserError
from runner.inference.abc_notation import read_tune, split_tunes
from runner.inference.load import Which, load_trained
from runner.inference.midi import Unplayable, to_midi, why_no_sound, write_midi_file, write_wav
from runner.run.directory import RunDir

__all__ = [
    "GenerationOptions",
    "Written",
    "encode_prompt",
    "generate",
    "prompts_of",
    "write_texts",
    "write_tunes",
]


def encode_prompt(data: Any, text: str, called: str) -> list[int]:
    """Token ids of a text.

    Args:
        data: of a language model's run.
        called: how messages call the text: ``--prompt``.

    Raises:
        UserError: the model never saw anything of it.
    """
    ids = data.encode(text)
    if UNKNOWN in ids and getattr(data, "tokens", "") == "char":
        unknown = sorted({sign for sign in text if data.encode(sign) == [UNKNOWN]})
        raise UserError(
            f"{called} holds {' '.join(map(repr, unknown))}, which the training text never did. Leave it out."
        )
    if not [number for number in ids if number != UNKNOWN]:
        raise UserError(f"{called} {text!r} holds no word of the training text. Give another.")
    return ids


def prompts_of(inputs: Sequence[str]) -> Iterator[tuple[str, str]]:
    """``(name, text)`` of each input: a text, or the name of a ``.txt`` file that holds it.

    Raises:
        DataError: the file does not exist.
    """
    for given in inputs:
        if given.lower().endswith(".txt") and " " not in given:
            yield given, read_text(Path(given)).rstrip("\n")
        else:
            yield given, given


@dataclass(frozen=True)
class GenerationOptions:
    """What is to be written.

    Attributes:
        length: number of tokens after the prompt.
        temperature: below 1 the likelier tokens gain; 0 always takes the likeliest.
        top_k: sample from this number of most likely tokens; from all if None.
        seed: of the draws: the same one gives the same text.
        count: texts.
    """

    prompt: str
    length: int = 500
    temperature: float = 1.0
    top_k: int | None = None
    seed: int = 0
    count: int = 1

    def check(self) -> None:
        """
        Raises:
            UserError: a value makes no sense.
        """
        bounds = {
            "--length": (self.length, 1, 1_000_000),
            "--temperature": (self.temperature, 0, 100),
            "--top-k": (1 if self.top_k is None else self.top_k, 1, 1_000_000),
            "--count": (self.count, 1, 1000),
        }
        for name, (value, least, most) in bounds.items():
            if not least <= value <= most:
                raise UserError(f"{name} {value}: expected a number from {least} to {most}.")
        if not self.prompt:
            raise UserError("--prompt is empty: give a text to continue.")


@dataclass
class Written:
    """
    Attributes:
        texts: each prompt with its continuation.
        notation: of what the texts are made, as the data has it.
    """

    texts: list[str]
    notation: str | None


def generate(run: RunDir, wish: GenerationOptions, which: Which = "best") -> Written:
    """Continues a prompt.

    Raises:
        UserError: the run's model writes no text, or never saw anything of the prompt.
    """
    wish.check()
    trained = load_trained(run, which)
    task, data = trained.task, trained.data
    if not hasattr(task, "generate"):
        name = type(task).__name__.removesuffix("Task").lower()
        raise UserError(f"--prompt is for language models; {run.name} is a run of {name}. Give INPUT to it.")
    ids = encode_prompt(data, wish.prompt, "--prompt")
    device = {"gpu": "cuda"}.get(available_accelerator(), available_accelerator())
    prompt = torch.tensor([ids] * wish.count, device=device)
    generator = torch.Generator().manual_seed(wish.seed)
    written = task.to(device).generate(prompt, wish.length, wish.temperature, wish.top_k, generator)
    texts = [data.decode([*ids, *row]) for row in written.tolist()]
    return Written(texts, getattr(data, "notation", None))


def write_texts(texts: list[str], target: str | Path) -> str:
    """Into one file, or into a folder a file each; returns what to say about it.

    Raises:
        UserError: that cannot be written.
    """
    target = Path(target)
    files = (
        [target] if target.suffix else [target / f"text-{number}.txt" for number in range(1, len(texts) + 1)]
    )
    parts = ["\n\n".join(texts)] if target.suffix else texts
    try:
        files[0].parent.mkdir(parents=True, exist_ok=True)
        for file, text in zip(files, parts, strict=True):
            file.write_text(text if text.endswith("\n") else text + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"--output {target} cannot be written: {error.strerror}. Name another.") from error
    return f"{len(texts)} {'text' if len(texts) == 1 else 'texts'} written to {target}"


def sound_files(midi: Any, file: Path, with_sound: bool) -> dict[str, str]:
    """The MIDI file and the sound of a tune, written beside its ABC file."""
    written = {"midi": str(write_midi_file(midi, file.with_suffix(".mid")))}
    return written | ({"wav": str(write_wav(Path(written["midi"])))} if with_sound else {})


def write_tunes(texts: list[str], folder: str | Path | None) -> tuple[list[dict[str, Any]], str]:
    """The tunes of texts in ABC notation: each read and, where it is one, written as ABC, MIDI and sound.

    Args:
        folder: where the files go; None only reads.

    Returns:
        A row a tune, and what to say about all of them.
    """
    tunes = [read_tune(text) for whole in texts for text in split_tunes(whole)]
    reason = why_no_sound()
    rows = []
    for number, tune in enumerate(tunes, start=1):
        row: dict[str, Any] = {
            "tune": number,
            "title": tune.title,
            "parses": tune.problem is None,
            "playable": False,
        }
        row |= {"notes": tune.num_notes, "bars": tune.num_bars, "full_bars": round(tune.full_bars, 3)}
        file = Path(folder) / f"tune-{number}.abc" if folder is not None else None
        if file is not None:
            write_texts([tune.text], file)
            row["file"] = str(file)
        if tune.problem is None:
            try:
                midi = to_midi(tune)
            except Unplayable as error:
                tune.problem = f"no MIDI: {error}"
            else:
                row["playable"] = True
                row |= sound_files(midi, file, with_sound=not reason) if file is not None else {}
        rows.append(row | ({"problem": tune.problem} if tune.problem else {}))
    num_parsed, num_playable = (sum(row[key] for row in rows) for key in ("parses", "playable"))
    said = f"{num_parsed} of {len(rows)} tunes parse, {num_playable} playable"
    if not rows:
        said = "no whole tune was written: begin the prompt with X:, and give a larger --length"
    return rows, said if folder is None or not reason else f"{said}; {reason}"
