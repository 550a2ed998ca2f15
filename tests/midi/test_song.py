"""MIDI files as songs."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmt_bridge.errors import MidiError
from cmt_bridge.midi.file import parsed
from cmt_bridge.midi.song import song_of
from tests.outputs.midifiles import chunk, metre, midi, named, played, programmed, tempo

NAME = Path("a.mid")


def test_channels_and_programs_of_a_track_come_apart() -> None:
    events = [
        named("Keys"),
        programmed(33),
        *played(0, 480),
        programmed(48, tick=480),
        *played(480, 960, 62),
        *played(0, 960, 36, channel=9),
        *played(100, 200, 70, channel=3),
    ]
    song = song_of(parsed(midi(chunk(events), chunk([named("empty"), programmed(5)])), NAME), NAME)
    assert [(t.name, t.program, t.is_drum, t.notes.tolist()) for t in song.tracks] == [
        ("Keys", 33, False, [[0, 480, 60, 64]]),
        ("Keys", 48, False, [[480, 960, 62, 64]]),
        ("Keys", 0, False, [[100, 200, 70, 64]]),
        ("Keys", 0, True, [[0, 960, 36, 64]]),
    ]


def test_a_program_change_under_a_note_holds_for_the_next() -> None:
    events = [programmed(33), *played(0, 960), programmed(48, tick=480), *played(960, 970)]
    song = song_of(parsed(midi(chunk(events)), NAME), NAME)
    assert [(track.program, track.notes[0, 0]) for track in song.tracks] == [(33, 0), (48, 960)]


def test_drums_without_any_end_are_all_there() -> None:
    hits = [(tick, b"\x99\x24\x40") for tick in range(0, 7680, 120)]
    song = song_of(parsed(midi(chunk(hits, end=7680)), NAME), NAME)
    assert song.tracks[0].notes[:, :2].tolist() == [[tick, tick + 120] for tick in range(0, 7680, 120)]


def test_tempos_and_metres_of_all_tracks_are_in_order() -> None:
    chunks = [chunk([tempo(960, 400_000), metre(960, 3, 2)]), chunk([tempo(0, 0), tempo(5, 7)]), chunk(played(0, 9))]
    song = song_of(parsed(midi(*chunks), NAME), NAME)
    assert (song.tempos, song.metres) == (((5, 7), (960, 400_000)), ((960, 3, 4),))


def test_more_metres_than_bars_are_refused() -> None:
    signs = [metre(tick, 4, 2) for tick in range(10_001)]
    assert len(song_of(parsed(midi(chunk([*signs[1:], *played(0, 9)])), NAME), NAME).metres) == 10_000
    with pytest.raises(MidiError, match="changes its metre more than 10,000 times"):
        song_of(parsed(midi(chunk([*signs, *played(0, 9)])), NAME), NAME)
