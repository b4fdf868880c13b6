"""Tunes: read, refused, and made into files."""

from __future__ import annotations

import os
import wave
from pathlib import Path

import numpy as np
import pytest

from runner.errors import UserError
from runner.inference.abc_notation import read_tune, split_tunes
from runner.inference.generate import write_tunes
from runner.inference.midi import why_no_sound, without_repeats, write_midi, write_wav

music21 = pytest.importorskip("music21", reason="needs music21: pip install 'runner[music]'")

TUNE = "X:1\nT:The Test\nM:4/4\nL:1/8\nK:D Major\nDEFG ABcd|dcBA GFED|D2F2 A2d2|d8|]\n"

BADLY_REPEATED = """X:1
T:Bone the Crowle
M:C
L:1/8
K:G Major
E|FGA Bee|fef ecA|dAF AGF|GAB AGE|!
GAB cBA|GFE GFA|d^cd edB|AGF G2:|!
[2 f|afa gfe|dfe dcd|ecA AFA|B3 Bcd|!
eaa age|fed ecA|dcA c2d|cAF E2:|!
"""


def test_tune_is_parsed():
    tune = read_tune(TUNE)
    assert tune.problem is None and tune.title == "The Test"
    assert (tune.num_notes, tune.num_bars, tune.full_bars) == (21, 4, 1.0)
    assert read_tune(TUNE.replace("dcBA GFED", "dcBA GFE")).full_bars == 0.5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("X:1\nT:none\nABcd", "no line K:"),
        ("X:1\nM:4/4\nL:1/8\nK:D\nABc|", "3 notes"),
        ("X:1\nM:7/0\nK:G\nABcdefgabc|", "ZeroDivisionError"),
        ("X:1\nK:Q\nABcdABcd|", "ABCHandlerException"),
    ],
)
def test_invalid_tune_is_reported(text, words):
    tune = read_tune(text)
    assert words in tune.problem and tune.score is None


def test_tunes_are_separated_and_an_incomplete_one_is_dropped():
    assert split_tunes(f"ends of one\n\n{TUNE}\n{TUNE}\nX:3\nT:bro") == [TUNE.rstrip()] * 2
    assert split_tunes(TUNE) == [TUNE.rstrip()] and split_tunes("none") == []
    assert len(split_tunes(f"{TUNE}\n{TUNE}\n")) == 2


def test_tune_files_without_a_synthesiser(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    rows, said = write_tunes([f"{TUNE}\nX:2\nK:Q\nABcdABcd\n\n"], tmp_path / "tunes")
    assert [row["parses"] for row in rows] == [True, False] and "problem" in rows[1]
    assert said.startswith("1 of 2 tunes parse, 1 playable; MIDI only: fluidsynth")
    midi = Path(rows[0]["midi"])
    assert midi.read_bytes()[:4] == b"MThd"
    again = music21.converter.parse(str(midi))
    assert [n.pitch.midi for n in again.flatten().notes][:8] == [62, 64, 66, 67, 69, 71, 73, 74]
    assert (tmp_path / "tunes" / "tune-2.abc").read_text() == "X:2\nK:Q\nABcdABcd\n"


def test_audio_is_written_when_a_synthesiser_is_installed(tmp_path, monkeypatch):
    program, font = tmp_path / "fluidsynth", tmp_path / "piano.sf2"
    program.write_text('#!/bin/sh\n[ "$1" = -ni ] && [ -f "$8" ] && [ -f "$9" ] && echo RIFF > "$3"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SOUNDFONT", str(font))
    assert "no soundfont" in why_no_sound()
    font.write_text("font")
    assert why_no_sound() is None
    rows, said = write_tunes([TUNE], tmp_path / "tunes")
    assert Path(rows[0]["wav"]).read_text() == "RIFF\n" and said == "1 of 1 tunes parse, 1 playable"
    program.write_text("#!/bin/sh\necho no good >&2; exit 3\n")
    with pytest.raises(UserError, match="no good"):
        write_wav(Path(rows[0]["midi"]).with_name("gone.mid"))


@pytest.mark.skipif(why_no_sound() is not None, reason=str(why_no_sound()))
def test_synthesiser_renders_an_audible_tune(tmp_path):
    rows, _ = write_tunes([TUNE], tmp_path)
    with wave.open(rows[0]["wav"]) as sound:
        seconds = sound.getnframes() / sound.getframerate()
        samples = np.frombuffer(sound.readframes(sound.getnframes()), np.int16) / 2**15
    played = music21.converter.parse(rows[0]["midi"]).flatten()
    last = max(event["endTimeSeconds"] for event in played.secondsMap)
    assert last <= seconds < last + 10, "as long as the tune, and its echo"
    assert 0.1 < abs(samples).max() < 1


def test_tune_with_invalid_repeats_is_played_without_repeats(tmp_path):
    tune = read_tune(BADLY_REPEATED)
    assert tune.problem is None
    with pytest.raises(music21.repeat.ExpanderException):
        tune.score.write("midi", fp=str(tmp_path / "refused.mid"))
    played = music21.converter.parse(write_midi(tune, tmp_path / "tune.mid"))
    assert len(list(played.recurse().notes)) == tune.num_notes


UNBALANCED = """X:7
T:Boys of Bluehill
M:C|
L:1/8
K:D Major
dB|BAFA DAFA|BA (3Bcd e2de|fagfdegfe|dfed B2dB|!
BAF' DAFA|BA (3Bcd e2de|A"gf egfe|d2dc d2:|!
fg|afdf a2gf|gfga b2ag|fagf egfe|dfed B2dB|!
B,FA DAFA|BA (3Bcd e2de|fagf egfe|d2dc d2:|!
"""
"""music21 reads it, and rejects it when it is played: its first bar has one time signature twice."""


def test_tune_without_valid_bars_is_played_note_by_note(tmp_path):
    tune = read_tune(UNBALANCED)
    assert tune.problem is None
    with pytest.raises(music21.exceptions21.StreamException):
        music21.midi.translate.streamToMidiFile(without_repeats(tune.score))
    rows, said = write_tunes([UNBALANCED], tmp_path)
    assert rows[0]["parses"] and rows[0]["playable"] and "problem" not in rows[0]
    assert said.startswith("1 of 1 tunes parse, 1 playable")
    midi = music21.midi.MidiFile()
    midi.readstr(Path(rows[0]["midi"]).read_bytes())
    played = [
        event.pitch for track in midi.tracks for event in track.events if event.isNoteOn() and event.velocity
    ]
    assert played == [note.pitch.midi for note in tune.score.flatten().notes]


def test_unplayable_tune_is_skipped_and_counted(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise music21.exceptions21.StreamException("already found in this Stream")

    monkeypatch.setattr(music21.midi.translate, "streamToMidiFile", refuse)
    for folder in (tmp_path, None):
        rows, said = write_tunes([TUNE, TUNE.replace("X:1", "X:2")], folder)
        assert [row["problem"] for row in rows] == [
            "no MIDI: StreamException: already found in this Stream"
        ] * 2
        assert [(row["parses"], row["playable"]) for row in rows] == [(True, False)] * 2
        assert said.startswith("2 of 2 tunes parse, 0 playable")
        assert all("midi" not in row for row in rows)
    assert len(list(tmp_path.glob("*.abc"))) == 2
