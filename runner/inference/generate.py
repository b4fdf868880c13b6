"""Generation of text from the language model of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from runner.data.text.prompt import encode_prompt
from runner.distributed.hardware import available_accelerator
from runner.errors import UserError
from runner.inference.abc_notation import Tune, read_tune, split_tunes
from runner.inference.load import Which, load_trained
from runner.inference.midi import Unplayable, to_midi, why_no_sound, write_midi_file, write_wav
from runner.run.directory import RunDir

__all__ = ["GeneratedTexts", "GenerationOptions", "generate", "write_texts", "write_tunes"]


@dataclass(frozen=True)
class GenerationOptions:
    """Options of text generation.

    Attributes:
        prompt: the text to continue.
        length: number of tokens after the prompt.
        temperature: sampling temperature; below 1 favors likely tokens, 0 always selects the most likely.
        top_k: sample from this number of most likely tokens; from all if None.
        seed: seed of the sampling.
        count: number of texts.
    """

    prompt: str
    length: int = 500
    temperature: float = 1.0
    top_k: int | None = None
    seed: int = 0
    count: int = 1

    def check(self) -> None:
        """Checks the values.

        Raises:
            UserError: a value is out of range.
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
class GeneratedTexts:
    """Generated texts.

    Attributes:
        texts: each prompt with its continuation.
        notation: notation of the texts as the data module declares it, such as ``abc``; None for plain text.
    """

    texts: list[str]
    notation: str | None


def generate(run: RunDir, options: GenerationOptions, which: Which = "best") -> GeneratedTexts:
    """Continues a prompt.

    Args:
        run: the run of a language model.
        options: prompt and sampling.
        which: the checkpoint, ``best`` or ``last``.

    Raises:
        UserError: the task does not generate text, or the prompt contains no known token.
    """
    options.check()
    trained = load_trained(run, which)
    task, data = trained.task, trained.data
    if not task.overrides("generate"):
        raise UserError(
            f"--prompt is for language models; {run.name} is a run of {task.title()}. Give INPUT to it."
        )
    ids = encode_prompt(data, options.prompt, "--prompt")
    device = {"gpu": "cuda"}.get(available_accelerator(), available_accelerator())
    prompt = torch.tensor([ids] * options.count, device=device)
    generator = torch.Generator().manual_seed(options.seed)
    tokens = task.to(device).generate(prompt, options.length, options.temperature, options.top_k, generator)
    texts = [data.decode([*ids, *row]) for row in tokens.tolist()]
    return GeneratedTexts(texts, getattr(data, "notation", None))  # only text data modules have a notation


def write_texts(texts: list[str], target: str | Path) -> str:
    """Writes texts into one file, or into a folder with one file each.

    Args:
        texts: the texts.
        target: a file if it has a suffix, otherwise a folder.

    Returns:
        A sentence for the user.

    Raises:
        UserError: the target cannot be written.
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


def write_tunes(texts: list[str], folder: str | Path | None) -> tuple[list[dict[str, Any]], str]:
    """Parses the tunes in texts and writes each as ABC and, if it can be played, as MIDI and audio.

    Args:
        texts: texts in ABC notation.
        folder: output folder; None only parses.

    Returns:
        One row per tune, and a summary for the user.
    """
    tunes = [read_tune(tune) for text in texts for tune in split_tunes(text)]
    silent = why_no_sound()
    rows = [
        tune_row(tune, number, None if folder is None else Path(folder), with_sound=not silent)
        for number, tune in enumerate(tunes, start=1)
    ]
    if not rows:
        summary = "no whole tune was written: begin the prompt with X:, and give a larger --length"
    else:
        num_parsed, num_playable = (sum(row[key] for row in rows) for key in ("parses", "playable"))
        summary = f"{num_parsed} of {len(rows)} tunes parse, {num_playable} playable"
    return rows, summary if folder is None or not silent else f"{summary}; {silent}"


def tune_row(tune: Tune, number: int, folder: Path | None, with_sound: bool) -> dict[str, Any]:
    """Writes the files of one tune and returns its row.

    Args:
        tune: the parsed tune; gets a ``problem`` if it cannot be played.
        number: number of the tune, for file names.
        folder: output folder; None writes nothing.
        with_sound: whether MIDI can be converted to audio.
    """
    row: dict[str, Any] = {
        "tune": number,
        "title": tune.title,
        "parses": tune.problem is None,
        "playable": False,
        "notes": tune.num_notes,
        "bars": tune.num_bars,
        "full_bars": round(tune.full_bars, 3),
    }
    file = None if folder is None else folder / f"tune-{number}.abc"
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
            row |= write_sound(midi, file, with_sound) if file is not None else {}
    return row | ({"problem": tune.problem} if tune.problem else {})


def write_sound(midi: Any, file: Path, with_sound: bool) -> dict[str, str]:
    """Writes the MIDI file of a tune and, if possible, its audio.

    Args:
        midi: music21's ``MidiFile``.
        file: the ABC file, which the others are named after.
        with_sound: whether to convert MIDI to audio.

    Returns:
        The paths by kind: ``midi`` and ``wav``.
    """
    midi_file = write_midi_file(midi, file.with_suffix(".mid"))
    written = {"midi": str(midi_file)}
    return written | ({"wav": str(write_wav(midi_file))} if with_sound else {})
