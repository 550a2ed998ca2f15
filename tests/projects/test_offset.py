from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import mido

from cmt_bridge.core.timecode import Counting, counting_of
from cmt_bridge.midi.events import END_OF_TRACK, chunk_of, file_of, meta_event
from cmt_bridge.midi.file import parsed
from cmt_bridge.outputs.midi import midi_bytes
from cmt_bridge.projects.offset import offset_stated
from tests.projects.films import edited_midi, score_of

OTHER = b"\xff\x54\x05\x21\x00\x00\x00\x00"


def stated_in(data: bytes, counting: Counting) -> bytes:
    return offset_stated(parsed(data, Path("film.mid")), counting) or data


def messages(data: bytes) -> list[list[Any]]:
    return [list(track) for track in mido.MidiFile(file=io.BytesIO(data), charset="utf-8").tracks]


def test_a_file_that_states_it_stays_byte_for_byte() -> None:
    data = midi_bytes(score_of(frame_rate=(25, 1)))
    assert stated_in(data, counting_of((25, 1))) == data
    assert stated_in(data, counting_of((0, 1), start="01:00:00")) == data  # nothing is known of its rate


def test_only_the_start_changes_in_a_file_that_states_another() -> None:
    data = midi_bytes(score_of(frame_rate=(25, 1)))
    stated = stated_in(data, counting_of((25, 1), start="01:00:00:07"))
    before, after = messages(data), messages(stated)
    changed = [
        (a, b) for one, other in zip(before, after, strict=True) for a, b in zip(one, other, strict=True) if a != b
    ]
    ((_, now),) = changed
    assert (now.type, now.frame_rate, now.hours, now.frames) == ("smpte_offset", 25, 1, 7)


def test_a_daw_file_gets_provenance_and_keeps_the_rest() -> None:
    data = edited_midi()
    stated = stated_in(data, counting_of((25, 1), "10:20:30:12"))
    (first, *others), (was, *rest) = messages(stated), messages(data)
    assert [m for m in first if m.type != "smpte_offset"] == was
    assert others == rest
    assert first[0].type == "smpte_offset"


def test_several_in_a_file_become_one() -> None:
    end = meta_event(END_OF_TRACK)
    named = [(0, meta_event(3, b"A")), (0, OTHER), (7, OTHER), (9, end)]
    data = file_of(1, 96, [chunk_of(named), chunk_of([(0, OTHER), (4, b"\x90\x3c\x40"), (9, end)])])
    tracks = messages(stated_in(data, counting_of((25, 1), "10:20:30:12")))
    assert [m.type for m in tracks[0]] == ["track_name", "smpte_offset", "end_of_track"]
    assert [m.type for m in tracks[1]] == ["note_on", "end_of_track"]
    assert [sum(m.time for m in track) for track in tracks] == [9, 9]
