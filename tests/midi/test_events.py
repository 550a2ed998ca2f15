from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmt_bridge.midi.events import (
    DamagedError,
    chunk_of,
    file_of,
    meta_event,
    meta_values,
    number,
    number_bytes,
)
from cmt_bridge.midi.file import parsed


@pytest.mark.parametrize(
    ("value", "data"),
    [(0, b"\x00"), (0x7F, b"\x7f"), (0x80, b"\x81\x00"), (0x2000, b"\xc0\x00"), (0x0FFFFFFF, b"\xff\xff\xff\x7f")],
)
def test_the_numbers_of_the_standard(value: int, data: bytes) -> None:
    assert number_bytes(value) == data
    assert number(b"\xff" + data + b"\x01", 1) == (value, 1 + len(data))


@given(st.integers(0, 0x0FFFFFFF))
def test_every_number_comes_back(value: int) -> None:
    data = number_bytes(value)
    assert number(data, 0) == (value, len(data))


def test_a_number_too_long_or_cut_off_is_an_error() -> None:
    with pytest.raises(DamagedError, match="too long"):
        number(b"\x80\x80\x80\x80\x00", 0)
    with pytest.raises(IndexError):
        number(b"\x80\x80", 0)


def test_values_of_any_length_come_back_from_a_meta_event() -> None:
    for length in (0, 1, 127, 128, 20_000):
        assert meta_values(meta_event(0x7F, bytes(length))) == bytes(length)


def test_a_track_of_any_gaps_comes_back() -> None:
    events = [(0, b"\xf0\x02\x43\xf7"), (127, b"\xe0\x01\x02"), (2**30, meta_event(0x2F))]
    chunk = chunk_of(events)
    assert chunk[:8] == b"MTrk" + (len(chunk) - 8).to_bytes(4)
    (track,) = parsed(file_of(1, 0x7FFF, [chunk]), Path("a.mid")).tracks
    between = [message for _, message in track.events if message not in dict(map(reversed, events))]
    assert set(between) == {meta_event(0x7F, b"\x7d")}  # which no host shows
    assert [event for event in track.events if event[1] not in between] == events


def test_the_head_counts_the_tracks() -> None:
    track = chunk_of([(0, meta_event(0x2F))])
    assert file_of(1, 480, [track, track]) == b"MThd\0\0\0\6\0\1\0\2\x01\xe0" + 2 * track
