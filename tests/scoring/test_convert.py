"""Conversion from Python, without the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cmt_bridge.cli.convert import convert as command
from cmt_bridge.errors import InputError, OutputError, UsageError
from cmt_bridge.outputs.scorefile import read_score
from cmt_bridge.scoring.convert import Conversion, Converted, convert
from tests.cli.test_convert import write_song


def test_files_are_converted_from_python(tmp_path: Path) -> None:
    song = write_song(tmp_path / "a.mid")
    assert convert(song, tmp_path / "a.npz") == Converted("midi", (tmp_path / "a.npz",))
    made = convert(str(tmp_path / "a.npz"), str(tmp_path / "b.json"), Conversion(tempo=90))  # type: ignore[arg-type]
    assert made == Converted("songs", (tmp_path / "b.json",))
    assert read_score(tmp_path / "b.json").tempo_map.bpm_at(0) == pytest.approx(90, abs=1e-4)


def test_notes_say_what_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "songs").mkdir()
    write_song(tmp_path / "songs" / "a.mid")
    (tmp_path / "songs" / "b.mid").write_bytes(b"no MIDI")
    notes: list[str] = []
    made = convert(tmp_path / "songs", tmp_path / "songs.npz", Conversion(on_note=notes.append))
    assert made.kind == "folder"
    assert len(notes) == 1
    assert notes[0].startswith("skipped: ")
    assert "b.mid" in notes[0]
    assert len(np.load(tmp_path / "songs.npz")["tokens"]) > 0


def test_what_cannot_be_converted_is_refused(tmp_path: Path) -> None:
    song = write_song(tmp_path / "a.mid")
    with pytest.raises(UsageError, match=r"cannot become a\.wav"):
        convert(song, tmp_path / "a.wav")
    with pytest.raises(InputError, match="no file"):
        convert(tmp_path / "nothing.mid", tmp_path / "a.npz")
    (tmp_path / "a.npz").write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists already"):
        convert(song, tmp_path / "a.npz")
    assert (tmp_path / "a.npz").read_bytes() == b"mine"
    convert(song, tmp_path / "a.npz", Conversion(force=True))
    assert (tmp_path / "a.npz").read_bytes() != b"mine"


def test_the_command_has_the_defaults_of_the_function() -> None:
    defaults = {each.name: each.default for each in command.params}
    assert (defaults["tempo"], defaults["least_notes"]) == (Conversion().tempo, Conversion().least_notes)
