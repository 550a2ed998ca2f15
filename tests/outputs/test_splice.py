"""MIDI from a DAW: that nothing but the notes of the section changes."""

from __future__ import annotations

import io
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import mido
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmt_bridge.core.instruments import PARTS, Instrument
from cmt_bridge.core.score import Note, Score, Track
from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.errors import MidiError
from cmt_bridge.outputs.edited import Bars, Edited, EditedNote, read_edited
from cmt_bridge.outputs.midi import midi_bytes
from cmt_bridge.outputs.splice import spliced
from tests.outputs.midifiles import (
    PITCHES,
    Edit,
    Events,
    by_symusic,
    chunk,
    ends,
    files,
    heard,
    messages,
    meta,
    metre,
    midi,
    named,
    played,
    programmed,
    tempo,
)

DRUMS, PIANO, GUITAR, BASS, STRINGS = Instrument

ODD: Events = [
    (0, meta(0x20, b"")),
    (0, meta(0x54, b"\x60\x00\x00\x00\x00")),
    (0, meta(0x59, b"\xfd\x01")),
    (0, meta(0x21, b"\x01")),
    (10, meta(0x05, "Été ☀".encode())),
    (10, meta(0x06, b"\xff\xfe not text")),
    (1930, meta(0x7F, bytes(range(200)))),
    (1930, meta(0x66, b"unknown")),
    (2000, b"\xf0\x03\x43\x12\x00"),
    (2010, b"\xf7\x03\x01\x02\xf7"),
    (2010, b"\xf7\x01\xf8"),
    (2500, b"\xe0\x01\x02"),
    (2500, b"\xa0\x3c\x10"),
    (2500, b"\xd0\x11"),
    (2500, b"\xb0\x40\x7f"),
    (2600, tempo(0, 400_000)[1]),
]
NEW = [(PIANO, Note(16, 60, 4, 90)), (PIANO, Note(20, 64, 40, 91)), (PIANO, Note(12, 65, 4)), (BASS, Note(17, 40, 4))]
NEW_VALUES = (b"\x40\x5b", b"\x40\x00")  # of the one note that is taken


@pytest.mark.parametrize("kind", [0, 1])
@pytest.mark.parametrize("running", [False, True])
def test_every_other_byte_survives(edit: Edit, kind: int, running: bool) -> None:
    own = played(1920, 2500, 70)
    edited = edit(
        midi(chunk([*ODD, *played(0, 2100, 60), *own, *played(3840, 4000)], end=6000, running=running), kind=kind)
    )
    again = edit(spliced(edited, NEW, [(1, 2)], [PIANO]))
    assert again.kind == kind
    now = list(again.events[0])
    packets = [(2000, b"\xf0\x03\x43\x12\x00"), (2010, b"\xf7\x03\x01\x02\xf7")]
    staying = [event for event in edited.events[0] if event not in (*own, packets[1])]
    staying[staying.index(packets[0])] = 2000, b"\xf0\x06\x43\x12\x00\x01\x02\xf7"  # which hosts can read
    assert staying == [event for event in now if event[1][1:] not in NEW_VALUES]
    assert [event for event in now if event[1][1:] in NEW_VALUES] == [(2400, b"\x90\x40\x5b"), (3840, b"\x80\x40\x00")]


def test_nothing_to_replace_gives_the_same_file(edit: Edit) -> None:
    odd = [event for event in ODD if event[1][0] not in (0xF0, 0xF7)]
    whole = [(2000, b"\xf0\x06\x43\x12\x00\x01\x02\xf7"), (2010, b"\xf7\x01\xf8")]
    data = midi(chunk([*odd, *whole, *played(0, 480)], end=9000), chunk([named("Bass"), *played(1920, 2000, 40)]))
    assert spliced(edit(data), [], [(1, 2)], [PIANO]) == data
    assert spliced(edit(data), [(PIANO, Note(0, 60, 4))], [(1, 2)], [DRUMS]) == data


def test_our_own_file_comes_back_with_new_bars(edit: Edit) -> None:
    tracks = [
        Track(i, PARTS[i].program, tuple(Note(t, 40 + i, 3, 60 + i) for t in range(0, 128, 4))) for i in Instrument
    ]
    score = Score(TempoMap.constant(100), tuple(tracks), bars=8)
    edited = edit(midi_bytes(score))
    assert (edited.tracks(), edited.bars, edited.tempo_map) == (score.tracks, 8, score.tempo_map)
    new = [(i, Note(32 + i, 50, 5, 99)) for i in Instrument]
    again = edit(spliced(edited, new, [(2, 4)], [DRUMS, STRINGS]))
    assert len(again.events) == 6
    for track, before in zip(again.tracks(), score.tracks, strict=True):
        kept = [note for note in before.notes if not 32 <= note.onset < 64]
        composed = track.instrument in (DRUMS, STRINGS)
        assert track.notes == ((*sorted([*kept, new[track.instrument - 1][1]]),) if composed else before.notes)


def test_the_track_named_like_its_instrument_is_composed(edit: Edit) -> None:
    much = chunk([named("Violins"), programmed(40), *(e for t in range(8) for e in played(t * 480, t * 480 + 400, 70))])
    named_ = chunk([named("strings"), programmed(48, 1), *played(1920, 2000, 60, channel=1)])
    few = chunk([named("Flute"), programmed(73, 2), *played(1920, 2000, 80, channel=2)])
    new = [(STRINGS, Note(18, 65, 2))]
    data = midi(much, named_, few)
    after = messages(spliced(edit(data), new, [(1, 2)], [STRINGS]))
    before = messages(data)
    assert (after[0], after[2]) == (before[0], before[2])
    assert [(tick, m.note, m.channel) for tick, m in after[1] if not m.is_meta and m.type != "program_change"] == [
        (2160, 65, 1),
        (2400, 65, 1),
    ]
    data = midi(few, much)
    before, after = messages(data), messages(spliced(edit(data), new, [(1, 2)], [STRINGS]))
    assert after[0] == before[0]
    assert {m.note for tick, m in after[1] if m.type == "note_on" and tick >= 1920} == {65}


def test_all_channels_of_a_track_of_its_name_are_composed(edit: Edit) -> None:
    bent = [e for c in (2, 3, 4) for e in played(1920, 2400, 60 + c, channel=c)]
    edited = edit(midi(chunk([named("Guitar"), *bent, *played(0, 10, channel=3)])))
    assert heard(edit(spliced(edited, [(GUITAR, Note(17, 60, 1, 64))], [(1, 2)]))) == {
        GUITAR: [(0, 1, 60, 64), (17, 1, 60, 64)]
    }


def test_an_unplayed_instrument_gets_its_own_track(edit: Edit) -> None:
    edited = edit(midi(chunk([named("Violins"), programmed(40), *played(0, 4000)])))
    new = [(PIANO, Note(16, 60, 4)), (DRUMS, Note(18, 36, 1)), (BASS, Note(20, 40, 60))]
    data = spliced(edited, new, [(1, 2)])
    file = mido.MidiFile(file=io.BytesIO(data))
    assert [track.name for track in file.tracks] == ["Violins", "Drums", "Piano", "Bass"]
    programs = [(m.channel, m.program) for track in file.tracks for m in track if m.type == "program_change"]
    assert programs == [(0, 40), (9, 0), (15, 0), (2, 33)]  # the strings have the piano's channel
    assert ends(data) == [4000, 4000, 4000, 4000]
    again = heard(edit(data))
    assert (again[DRUMS], again[PIANO], again[BASS]) == ([(18, 1, 36, 80)], [(16, 4, 60, 80)], [(20, 12, 40, 80)])


def test_a_new_track_ends_with_its_last_note(edit: Edit) -> None:
    data = spliced(edit(midi(chunk(played(0, 480)))), [(BASS, Note(60, 40, 4)), (PIANO, Note(61, 60, 2))], [(3, 4)])
    assert ends(data) == [63 * 120, 64 * 120]


def test_an_empty_track_of_its_name_is_used(edit: Edit) -> None:
    bass, drums = chunk([named("Bass")]), chunk([named("Drums"), programmed(0, 9)])
    edited = edit(midi(chunk(played(0, 480, channel=2)), bass, drums))
    file = messages(spliced(edited, [(BASS, Note(0, 40, 4)), (DRUMS, Note(1, 36, 1))], [(0, 1)], [BASS, DRUMS]))
    assert len(file) == 3
    assert [(m.type, m.channel) for _, m in file[1][1:]] == [
        ("program_change", 15),
        ("note_on", 15),
        ("note_off", 15),
    ]
    assert [(m.type, m.channel) for _, m in file[2][1:]] == [
        ("program_change", 9),
        ("note_on", 9),
        ("note_off", 9),
    ]


def test_type_0_gets_a_channel_with_a_name(edit: Edit) -> None:
    edited = edit(midi(chunk([named("Guitar"), *played(0, 480, channel=9), *played(1920, 2000, channel=9)]), kind=0))
    assert list(heard(edited)) == [GUITAR]
    data = spliced(edited, [(DRUMS, Note(20, 36, 1)), (PIANO, Note(21, 60, 4))], [(1, 2)], [DRUMS, PIANO])
    (track,) = messages(data)
    assert [m.name for _, m in track if m.type == "track_name"] == ["Guitar"]
    again = edit(data)
    assert again.kind == 0
    assert heard(again) == {
        GUITAR: [(0, 4, 60, 64), (16, 1, 60, 64)],
        DRUMS: [(20, 1, 36, 80)],
        PIANO: [(21, 4, 60, 80)],
    }


def test_type_0_without_a_free_channel_is_refused(edit: Edit) -> None:
    notes = [e for c in range(16) for e in [programmed(48, c), *played(0, 480, channel=c)]]
    with pytest.raises(MidiError, match=r"no channel left for Bass\. Export it as type 1"):
        spliced(edit(midi(chunk(notes), kind=0)), [(BASS, Note(0, 40, 1))], [(0, 1)])
    data = spliced(edit(midi(chunk(notes))), [(BASS, Note(0, 40, 1))], [(0, 1)], [BASS])
    assert heard(edit(data))[BASS] == [(0, 1, 40, 80)]


def test_a_changed_instrument_adds_a_track(edit: Edit) -> None:
    events = [programmed(33), *played(0, 480, 40), programmed(48, tick=2400), *played(2400, 2800, 70)]
    edited = edit(midi(chunk(events)))
    again = edit(spliced(edited, [(BASS, Note(16, 41, 2)), (BASS, Note(20, 42, 2))], [(1, 2)], [BASS]))
    assert heard(again) == {BASS: [(0, 4, 40, 64), (16, 2, 41, 80), (20, 2, 42, 80)], STRINGS: [(20, 3, 70, 64)]}
    assert [note.track for note in again.notes if note.instrument is BASS] == [0, 0, 1]


def test_early_notes_stay_at_both_seams(edit: Edit) -> None:
    notes = [*played(1900, 2400), *played(1925, 2000, 61), *played(3839, 4000, 62), *played(3700, 3900, 63)]
    edited = edit(midi(chunk([named("Piano"), *notes])))
    again = edit(spliced(edited, [], [(1, 2)]))
    assert [(note.start, note.end, note.pitch) for note in again.notes] == [(1900, 2400, 60), (3839, 4000, 62)]


def test_a_replaced_notes_end_goes_with_it(edit: Edit) -> None:
    data = spliced(edit(midi(chunk([*played(3000, 9000), *played(0, 480)]))), [], [(1, 2)])
    assert [tick for tick, _ in messages(data)[0]] == [0, 480]
    assert ends(data) == [9000]


def test_no_new_note_strikes_what_still_sounds(edit: Edit) -> None:
    kept = [*played(1000, 2400), *played(3800, 4000, 61), *played(3000, 3000, 62)]
    edited = edit(midi(chunk([named("Piano"), *kept, (2640, b"\x80\x3f\x00")])))
    starts = [Note(16, 60, 8), Note(19, 60, 2), Note(20, 60, 2), Note(28, 61, 4), Note(24, 62, 4)]
    new = [*starts, Note(20, 63, 4), Note(17, 64, 9), Note(19, 64, 2), Note(17, 64, 3)]
    edited_notes = {(note.start, note.end, note.pitch) for note in edited.notes} - {(3000, 3000, 62)}
    again = edit(spliced(edited, [(PIANO, note) for note in new], [(1, 2)], [PIANO]))
    found = {(note.start, note.end, note.pitch) for note in again.notes}
    assert found - edited_notes == {
        (2400, 2640, 60),
        (3360, 3800, 61),
        (2880, 3360, 62),
        (2400, 2640, 63),
        (2040, 2280, 64),
        (2280, 2520, 64),
    }
    assert edited_notes < found


def test_an_endless_note_stays_within_its_track(edit: Edit) -> None:
    edited = edit(midi(chunk([(0, b"\x90\x3c\x40")], end=480)))
    again = edit(spliced(edited, [(PIANO, Note(17, 60, 1)), (PIANO, Note(17, 61, 1))], [(1, 2)]))
    assert [(note.start, note.end, note.pitch) for note in again.notes] == [(0, 2160, 60), (2040, 2160, 61)]


def test_new_notes_come_after_what_prepares_them(edit: Edit) -> None:
    events = [named("Piano"), (1920, b"\xb0\x40\x7f"), *played(960, 1920), (2040, b"\xb0\x40\x00"), *played(3840, 4000)]
    again = edit(spliced(edit(midi(chunk(events))), [(PIANO, Note(16, 60, 16))], [(1, 2)]))
    at = [(tick, data[0]) for tick, data in again.events[0] if tick in (1920, 3840)]
    assert at == [(1920, 0xB0), (1920, 0x80), (1920, 0x90), (3840, 0x80), (3840, 0x90)]


def test_new_notes_fall_on_the_nearest_tick_of_any_resolution(edit: Edit) -> None:
    for division, starts in ((1, [4, 4, 4, 5, 7]), (3, [12, 13, 14, 14, 23]), (100, [400, 425, 450, 475, 775])):
        edited = edit(midi(chunk(played(0, division)), division=division))
        onsets = (16, 17, 18, 19, 31)
        new = [(PIANO, Note(onset, 60 + n, 1)) for n, onset in enumerate(onsets)]
        notes = edit(spliced(edited, new, [(1, 2)])).notes[1:]
        assert sorted(note.start for note in notes) == starts
        assert all(note.start < note.end <= 8 * division for note in notes)


def test_gaps_longer_than_a_file_can_state_are_bridged(edit: Edit) -> None:
    far = 9000 * 4 * 32767
    events: Events = [(number_ * 2**27, meta(1, b"x")) for number_ in range(far // 2**27 + 1)]
    edited = edit(midi(chunk([*events, *played(far, far + 10)]), division=32767))
    again = edit(spliced(edited, [(BASS, Note(9000 * 16, 40, 4))], [(9000, 9001)], [BASS]))
    assert heard(again)[BASS] == [(9000 * 16, 4, 40, 80)]


def test_bars_in_another_metre_are_refused(edit: Edit) -> None:
    edited = edit(midi(chunk([metre(0, 4, 2), metre(3840, 3, 2)]), chunk(played(0, 480))))
    with pytest.raises(MidiError, match="3/4 at bar 3"):
        spliced(edited, [], [(1, 3)])


def test_an_instrument_without_a_track_is_refused(edit: Edit) -> None:
    edited = edit(midi(chunk(played(0, 480)), *[chunk([])] * 4_095))
    with pytest.raises(MidiError, match=r"no track left for Bass\. Export it with fewer tracks"):
        spliced(edited, [(BASS, Note(0, 40, 1))], [(0, 1)], [BASS])
    assert len(spliced(edited, [], [(0, 1)], [BASS])) > 4_096


# Any file

SECTIONS = st.sampled_from([[(0, 1)], [(1, 3)], [(2, 6)], [(0, 1), (2, 3)], [(1, 2), (2, 4)], [(5, 7)]])
SOME = st.sets(st.sampled_from(list(Instrument)), min_size=1).map(sorted)
WISHES = st.lists(
    st.tuples(
        st.sampled_from(list(Instrument)),
        st.builds(Note, st.integers(0, 111), PITCHES, st.integers(0, 20), st.integers(1, 127)),
    ),
    max_size=20,
)


def within(bars: Sequence[Bars], tick: float, ticks_per_bar: int) -> bool:
    return any(first * ticks_per_bar <= tick < last * ticks_per_bar for first, last in bars)


def span(on: tuple[int, Any], off: tuple[int, Any]) -> tuple[int, int, int, int, int]:
    return on[0], off[0], on[1].channel, on[1].note, on[1].velocity


def paired(events: list[tuple[int, Any]]) -> tuple[list[tuple[int, int]], set[int]]:
    """Give the numbers of the events that begin and end each note, first in first out, and those of all that hang."""
    sounding: dict[tuple[int, int], deque[int]] = defaultdict(deque)
    pairs, strays = [], set()
    for index, (_, message) in enumerate(events):
        if message.type == "note_on" and message.velocity:
            sounding[message.channel, message.note].append(index)
        elif message.type in ("note_on", "note_off"):
            queue = sounding[message.channel, message.note]
            if queue:
                pairs.append((queue.popleft(), index))
            else:
                strays.add(index)
    return pairs, strays | {index for queue in sounding.values() for index in queue}


def is_replaced(note: EditedNote, edited: Edited, bars: Sequence[Bars], instruments: Sequence[Instrument]) -> bool:
    if note.instrument is None or note.instrument not in instruments:
        return False
    part = edited.part(note.instrument)
    assert part is not None
    on_grid = round(Fraction(note.start * 4, edited.ticks_per_quarter))
    return (
        (note.track == part.track and note.channel in part.channels)
        and within(bars, note.start, edited.ticks_per_bar)
        and within(bars, on_grid, 16)
    )


@settings(max_examples=250, deadline=None)
@given(data=files(), bars=SECTIONS, instruments=SOME, wishes=WISHES)
def test_everything_else_survives_in_any_file(
    edit: Edit, data: bytes, bars: list[Bars], instruments: list[Instrument], wishes: list[tuple[Instrument, Note]]
) -> None:
    edited = edit(data)
    after = spliced(edited, wishes, bars, instruments)
    gone = {(n.track, i) for n in edited.notes if is_replaced(n, edited, bars, instruments) for i in (n.on, n.off)}
    tracks, now = messages(data), messages(after)
    assert all(old <= new for old, new in zip(ends(data), ends(after), strict=False))
    wanted = Counter((note.pitch, note.velocity) for i, note in wishes if i in instruments)
    for number_, events in enumerate(now):
        kept = [e for i, e in enumerate(tracks[number_]) if (number_, i) not in gone] if number_ < len(tracks) else []
        places = iter(enumerate(events))
        stayed = [next(i for i, event in places if event == each) for each in kept]  # all are there, and in order
        added = [event for i, event in enumerate(events) if i not in stayed]
        notes = [(tick, message) for tick, message in added if message.type in ("note_on", "note_off")]
        assert {message.type for _, message in added} <= {
            "note_on",
            "note_off",
            "program_change",
            "track_name",
            "channel_prefix",
            "instrument_name",
        }
        pairs, strays = paired(events)
        old_pairs, old_strays = paired(kept)
        assert [events[i] for i in sorted(strays)] == [kept[i] for i in sorted(old_strays)]
        spans = Counter(span(events[on], events[off]) for on, off in pairs)
        old_spans = Counter(span(kept[on], kept[off]) for on, off in old_pairs)
        new = spans - old_spans
        assert old_spans <= spans
        assert 2 * new.total() == len(notes)
        for start, end, _, pitch, velocity in new.elements():
            assert start < end
            assert within(bars, start, edited.ticks_per_bar)
            assert end <= next(b * edited.ticks_per_bar for a, b in bars if start < b * edited.ticks_per_bar)
            wanted[pitch, velocity] -= 1
    assert min(wanted.values(), default=0) >= 0


@settings(max_examples=150, deadline=None)
@given(data=files(), bars=SECTIONS, instruments=SOME, wishes=WISHES)
def test_new_notes_read_back_the_same_from_any_file(
    edit: Edit, data: bytes, bars: list[Bars], instruments: list[Instrument], wishes: list[tuple[Instrument, Note]]
) -> None:
    """Where nothing of their pitch sounds."""
    edited = edit(data)
    wishes = [(i, Note(n.onset, n.pitch + 20, min(1, n.duration), n.velocity)) for i, n in wishes]
    again = edit(spliced(edited, wishes, bars, instruments))
    for instrument in Instrument:
        given_ = {(n.onset, n.pitch) for i, n in wishes if i is instrument and within(bars, n.onset, 16)}
        found = [n for n in again.notes if n.instrument is instrument and n.pitch >= 80]
        grid = [(round(Fraction(n.start * 4, again.ticks_per_quarter)), n.pitch) for n in found]
        assert sorted(grid) == (sorted(given_) if instrument in instruments else [])
    old = Counter((n.instrument, n.start, n.end, n.pitch) for n in again.notes if n.pitch < 80 and n.off is not None)
    before = [n for n in edited.notes if n.off is not None and not is_replaced(n, edited, bars, instruments)]
    assert old == Counter((n.instrument, n.start, n.end, n.pitch) for n in before)


@pytest.mark.shared
def test_real_files_keep_all_but_the_section(edit: Edit, shared: Path) -> None:
    paths = sorted((shared / "reference" / "midi").rglob("*.mid"))
    assert paths
    for path in paths:
        edited = read_edited(path)
        assert all(a.onset <= b.onset for track in edited.tracks() for a, b in pairwise(track.notes))
        if edited.bars < 3:
            continue
        new = [(instrument, Note(20 + instrument, 60, 3, 77)) for instrument in Instrument]
        data = spliced(edited, new, [(1, 2)])
        before, after = by_symusic(path.read_bytes()), by_symusic(data)
        bar = edited.ticks_per_bar
        outside = [note for note in before.elements() if not 0.9 * bar <= note[1] < 2 * bar]
        assert Counter(outside) <= after
        parts = [track for track in edit(data).tracks() if any(note.velocity == 77 for note in track.notes)]
        assert [part.instrument for part in parts] == list(Instrument)
