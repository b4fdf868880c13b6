"""Tunes as MIDI files and, where there is a synthesiser, as sound."""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from runner.errors import UserError
from runner.music.abc import Tune

__all__ = ["Unplayable", "find_soundfont", "to_midi", "why_no_sound", "without_repeats", "write_midi", "write_midi_file", "write_wav"]

SOUNDFONT_FOLDERS = ("/usr/share/sounds/sf2", "/usr/share/soundfonts", "/usr/local/share/soundfonts")
ENVIRONMENT = "SOUNDFONT"
TIMEOUT_S = 120
GAIN = "1"
"""Five times fluidsynth's own, which leaves one voice at a twentieth of full scale."""


class Unplayable(ValueError):
    """A tune that parses but that music21 cannot turn into MIDI."""


def to_midi(tune: Tune) -> Any:
    """music21's ``MidiFile`` of a tune.

    Repeats that do not match, or that cannot be expanded, are played once through: models write such repeats.

    Raises:
        Unplayable: music21 cannot play the tune without its repeats either.
    """
    from music21.exceptions21 import Music21Exception
    from music21.midi.translate import streamToMidiFile

    try:
        return streamToMidiFile(tune.score)
    except Music21Exception:
        pass
    try:
        return streamToMidiFile(without_repeats(tune.score))
    except Music21Exception:
        pass
    try:
        return streamToMidiFile(notes_alone(tune.score))
    except Exception as error:  # music21 raises errors of every kind
        raise Unplayable(f"{type(error).__name__}: {str(error)[:120]}") from error


def write_midi(tune: Tune, file: Path) -> Path:
    """The MIDI file of a tune; see ``to_midi``.

    Raises:
        Unplayable: it cannot be played.
        UserError: the file cannot be written.
    """
    return write_midi_file(to_midi(tune), file)


def write_midi_file(midi: Any, file: Path) -> Path:
    """
    Raises:
        UserError: the file cannot be written.
    """
    try:
        file.write_bytes(midi.writestr())
    except OSError as error:
        raise UserError(f"{file} cannot be written: {error.strerror}. Name another folder.") from error
    return file


def notes_alone(score: Any) -> Any:
    """Copies of a score's notes, rests and tempi at their times, without bars: a bar that music21 built with the same
    time signature twice cannot be played."""
    from music21.stream import Part

    part = Part()
    for element in score.flatten().getElementsByClass(("GeneralNote", "TempoIndication")):
        part.insert(element.offset, copy.deepcopy(element))
    return part


def without_repeats(score: Any) -> Any:
    """A copy of a music21 stream whose bars are played in the order they stand in."""
    from music21.bar import Repeat
    from music21.repeat import RepeatMark
    from music21.spanner import RepeatBracket

    plain = copy.deepcopy(score)
    for bar in plain.recurse().getElementsByClass("Measure"):
        bar.leftBarline = None if isinstance(bar.leftBarline, Repeat) else bar.leftBarline
        bar.rightBarline = None if isinstance(bar.rightBarline, Repeat) else bar.rightBarline
    plain.remove([*plain.recurse().getElementsByClass((RepeatMark, RepeatBracket))], recurse=True)
    return plain


def find_soundfont() -> Path | None:
    """``$SOUNDFONT``, or one that a package of the system brought along."""
    if named := os.environ.get(ENVIRONMENT):
        return Path(named)
    found = (file for folder in SOUNDFONT_FOLDERS for file in sorted(Path(folder).glob("*.sf[23]")))
    return next(found, None)


def why_no_sound() -> str | None:
    """What is missing to make sound of MIDI; None when nothing is."""
    if shutil.which("fluidsynth") is None:
        return "MIDI only: fluidsynth, which would make sound of it, is not installed"
    font = find_soundfont()
    if font is None or not font.is_file():
        return f"MIDI only: fluidsynth is here, but no soundfont (${ENVIRONMENT} names one)"
    return None


def write_wav(midi: Path) -> Path:
    """The sound of a MIDI file beside it.

    Raises:
        UserError: the synthesiser fails.
    """
    wav = midi.with_suffix(".wav")
    command = ["fluidsynth", "-ni", "-F", str(wav), "-r", "44100", "-g", GAIN, str(find_soundfont()), str(midi)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(f"fluidsynth could not make {wav}: {error}") from error
    if done.returncode or not wav.is_file():
        raise UserError(f"fluidsynth could not make {wav}: {(done.stderr or done.stdout).strip()[-200:]}")
    return wav
