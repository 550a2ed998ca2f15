"""The one rule by which ends find beginnings, and that all readers keep to it."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmt_bridge.midi.events import Event, releases, strikes
from cmt_bridge.midi.file import parsed
from cmt_bridge.midi.pairing import Pair, complete, ends_of, pairs
from cmt_bridge.midi.song import song_of
from cmt_bridge.outputs.edited import edited_of
from cmt_bridge.projects.arrangement import version_of
from tests.outputs.midifiles import chunk, meta, midi

END = b"\xff\x2f\x00"
ON, OFF, QUIET = b"\x90\x3c\x40", b"\x80\x3c\x40", b"\x90\x3c\x00"
OTHER = b"\x91\x3c\x40"


@pytest.mark.parametrize(
    ("events", "spans"),
    [
        ([(0, ON), (480, OFF), (960, END)], [(0, 480)]),
        ([(0, ON), (480, QUIET), (960, END)], [(0, 480)]),
        ([(0, ON), (240, ON), (480, OFF), (720, OFF), (960, END)], [(0, 480), (240, 720)]),  # overlapping
        ([(0, ON), (480, ON), (480, OFF), (960, OFF), (960, END)], [(0, 480), (480, 960)]),  # the end comes late
        ([(0, ON), (0, OFF), (960, END)], [(0, 0)]),
        ([(0, OFF), (10, ON), (20, OFF), (30, OFF), (40, ON), (50, OFF), (960, END)], [(10, 20), (40, 50)]),  # strays
        ([(0, ON), (960, END)], [(0, 960)]),  # no end: to that of the track
        ([(0, ON), (480, ON), (700, ON), (960, END)], [(0, 480), (480, 700), (700, 960)]),  # to the next
        ([(0, ON), (100, ON), (200, ON), (300, OFF), (960, END)], [(0, 300), (100, 300), (200, 960)]),
        ([(0, ON), (5, OTHER), (480, OFF), (960, END)], [(0, 480), (5, 960)]),  # channels are apart
        ([(960, END)], []),
    ],
)
def test_the_rule(events: list[Event], spans: list[tuple[int, int]]) -> None:
    assert [(events[pair.on][0], pair.end) for pair in pairs(events)] == spans


def by_the_book(events: Sequence[Event]) -> list[Pair]:
    """Say the rule again, one event after the other."""
    sounding: dict[bytes, deque[int]] = defaultdict(deque)
    found: dict[int, Pair] = {}
    latest: dict[bytes, int] = defaultdict(int)
    for number, (tick, message) in enumerate(events):
        key = bytes((message[0] & 0xF, message[1]))
        if strikes(message):
            sounding[key].append(number)
        elif releases(message) and sounding[key]:
            begun = sounding[key].popleft()
            found[begun] = Pair(begun, number, tick)
            latest[key] = tick
    for key, left in sounding.items():
        for begun, following in zip(left, [*list(left)[1:], len(events) - 1], strict=False):
            latest[key] = max(latest[key], events[following][0])
            found[begun] = Pair(begun, None, latest[key])
    return [found[number] for number in sorted(found)]


MESSAGES = st.builds(
    lambda kind, channel, pitch, velocity: bytes((kind | channel, pitch, velocity)),
    st.sampled_from([0x90, 0x90, 0x80]),
    st.integers(0, 1),
    st.integers(60, 62),
    st.sampled_from([0, 64, 90]),
)


@st.composite
def tracks(draw: st.DrawFn) -> list[Event]:
    others = st.one_of(MESSAGES, st.sampled_from([b"\xb0\x40\x7f", b"\xc1\x05", meta(6, b"Cut")]))
    events = sorted(draw(st.lists(st.tuples(st.integers(0, 12), others), max_size=30)), key=lambda event: event[0])
    return [*events, ((events[-1][0] if events else 0) + draw(st.integers(0, 3)), END)]


@settings(max_examples=200, deadline=None)
@given(tracks())
def test_the_rule_holds_for_any_track(events: list[Event]) -> None:
    assert pairs(events) == by_the_book(events)


@settings(max_examples=200, deadline=None)
@given(tracks())
def test_what_is_completed_has_the_same_notes_and_every_end(events: list[Event]) -> None:
    whole = complete(events)
    before = [(events[pair.on], pair.end) for pair in pairs(events)]
    assert [(whole[pair.on], pair.end) for pair in pairs(whole)] == before
    assert all(pair.off is not None for pair in pairs(whole))
    assert whole[-1] == events[-1]
    rest = list(whole)
    for event in events:
        rest.remove(event)
    assert all(releases(message) for _, message in rest)
    assert complete(whole) == whole


@settings(max_examples=100, deadline=None)
@given(events=tracks())
def test_all_readers_have_the_same_notes(events: list[Event], tmp_path_factory: pytest.TempPathFactory) -> None:
    data = midi(chunk(events[:-1], end=events[-1][0]))
    wanted = sorted((events[p.on][0], p.end, *events[p.on][1][1:], events[p.on][1][0] & 0xF) for p in pairs(events))
    path = tmp_path_factory.getbasetemp() / "same.mid"
    path.write_bytes(data)
    edited = edited_of(data, path)
    assert sorted((n.start, n.end, n.pitch, n.velocity, n.channel) for n in edited.notes) == wanted
    if not wanted:
        return
    parts = version_of(path, "").parts
    assert sorted((n.start, n.end, n.pitch, n.velocity, n.channel) for p in parts for n in p.notes) == wanted
    song = song_of(parsed(data, path), path)
    assert sorted(tuple(note) for track in song.tracks for note in track.notes.tolist()) == sorted(
        note[:4] for note in wanted
    )


def test_many_notes_are_paired() -> None:
    size = 200_000
    ticks = np.repeat(np.arange(size // 2), 2)
    begins = np.arange(size) % 2 == 0
    off, end = ends_of(ticks, np.full(size, 60), begins, size)
    assert (off == np.flatnonzero(~begins)).all()
    assert (end == ticks[~begins]).all()
