"""Conversion of tunes to MIDI files and, with fluidsynth, to audio."""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from runner.errors import UserError
from runner.inference.abc_notation import Tune

__all__ = [
    "Unplayable",
    "find_soundfont",
    "to_midi",
    "why_no_sound",
    "without_repeats",
    "write_midi",
    "write_midi_file",
    "write_wav",
]

SOUNDFONT_FOLDERS = ("/usr/share/sounds/sf2", "/usr/share/soundfonts", "/usr/local/share/soundfonts")
ENVIRONMENT = "SOUNDFONT"
TIMEOUT_S = 120
GAIN = "1"
"""Five times fluidsynth's default, at which a single voice only reaches a twentieth of full scale."""


class Unplayable(ValueError):
    """Raised for a tune that can be parsed but not converted to MIDI by music21."""


def to_midi(tune: Tune) -> Any:
    """Converts a tune to music21's ``MidiFile``.

    Repeats that are unbalanced or cannot be expanded are ignored, since models often generate such repeats.

    Raises:
        Unplayable: music21 cannot convert the tune, even without its repeats.
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
    """Writes the MIDI file of a tune; see ``to_midi``.

    Raises:
        Unplayable: the tune cannot be converted.
        UserError: the file cannot be written.
    """
    return write_midi_file(to_midi(tune), file)


def write_midi_file(midi: Any, file: Path) -> Path:
    """Writes a ``MidiFile``.

    Raises:
        UserError: the file cannot be written.
    """
    try:
        file.write_bytes(midi.writestr())
    except OSError as error:
        raise UserError(f"{file} cannot be written: {error.strerror}. Choose another folder.") from error
    return file


def notes_alone(score: Any) -> Any:
    """Copies the notes, rests and tempi of a score without its bars.

    A bar to which music21 added the same time signature twice cannot be played.
    """
    from music21.stream import Part

    part = Part()
    for element in score.flatten().getElementsByClass(("GeneralNote", "TempoIndication")):
        part.insert(element.offset, copy.deepcopy(element))
    return part


def without_repeats(score: Any) -> Any:
    """Copies a music21 stream without repeats, so that its bars are played in order."""
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
    """Returns ``$SOUNDFONT`` if set, or else a soundfont installed on the system."""
    if named := os.environ.get(ENVIRONMENT):
        return Path(named)
    fonts = (file for folder in SOUNDFONT_FOLDERS for file in sorted(Path(folder).glob("*.sf[23]")))
    return next(fonts, None)


def why_no_sound() -> str | None:
    """Returns why MIDI cannot be converted to audio; None if it can."""
    if shutil.which("fluidsynth") is None:
        return "MIDI only: fluidsynth, which converts MIDI to audio, is not installed"
    font = find_soundfont()
    if font is None or not font.is_file():
        return f"MIDI only: fluidsynth is installed, but no soundfont was found (set ${ENVIRONMENT})"
    return None


def write_wav(midi: Path) -> Path:
    """Converts a MIDI file to a WAV file in the same folder.

    Raises:
        UserError: fluidsynth fails.
    """
    wav = midi.with_suffix(".wav")
    command = [
        "fluidsynth",
        "-ni",
        "-F",
        str(wav),
        "-r",
        "44100",
        "-g",
        GAIN,
        str(find_soundfont()),
        str(midi),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(f"fluidsynth could not make {wav}: {error}") from error
    if done.returncode or not wav.is_file():
        raise UserError(f"fluidsynth could not make {wav}: {(done.stderr or done.stdout).strip()[-200:]}")
    return wav
