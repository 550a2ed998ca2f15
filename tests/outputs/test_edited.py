"""MIDI from a DAW: what is heard of it."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings

from cmt_bridge.core.instruments import Instrument
from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.errors import MidiError
from tests.outputs.midifiles import (
    Edit,
    by_symusic,
    chunk,
    files,
    heard,
    meta,
    metre,
    midi,
    named,
    played,
    programmed,
    tempo,
)

DRUMS, PIANO, GUITAR, BASS, STRINGS = Instrument


def test_notes_lie_on_the_grid_and_last_a_tick(edit: Edit) -> None:
    notes = [
        *played(0, 110),
        *played(70, 130, 62),
        *played(180, 181, 64),
        *played(1800, 4000, 65),
        *played(300, 300, 66),
    ]
    edited = edit(midi(chunk([named("Piano"), *notes])))
    assert heard(edited) == {PIANO: [(0, 1, 60, 64), (1, 1, 62, 64), (2, 1, 64, 64), (2, 1, 66, 64), (15, 18, 65, 64)]}
    assert edited.bars == 3


@pytest.mark.parametrize("division", [96, 100, 120, 480, 960])
@pytest.mark.parametrize("kind", [0, 1])
def test_any_resolution_and_both_types(edit: Edit, kind: int, division: int) -> None:
    notes = played(division * 5, division * 7)
    edited = edit(midi(chunk([programmed(24), *notes]), kind=kind, division=division))
    assert heard(edited) == {GUITAR: [(20, 8, 60, 64)]}
    assert edited.bars == 2


def test_the_length_is_that_of_what_ends_last(edit: Edit) -> None:
    assert edit(midi(chunk(played(0, 1920)))).bars == 1
    assert edit(midi(chunk(played(0, 1920)), chunk([], end=5000))).bars == 3
    assert edit(midi(chunk(played(1900, 1915)))).bars == 2  # on the grid the note begins the second bar
    assert edit(midi(chunk([]))).bars == 0


def test_equal_notes_of_an_instrument_are_heard_once_the_longest(edit: Edit) -> None:
    violins, flutes = ([programmed(p), *played(0, end), *played(480, 960, 70)] for p, end in ((40, 480), (73, 1440)))
    assert heard(edit(midi(chunk(violins), chunk(flutes)))) == {STRINGS: [(0, 12, 60, 64), (4, 4, 70, 64)]}


def test_programs_count_from_their_tick(edit: Edit) -> None:
    events = [programmed(33), *played(0, 480), programmed(48, tick=480), *played(480, 960), *played(0, 1920, 65)]
    edited = edit(midi(chunk([*events, programmed(120, tick=1920), *played(1920, 2400)])))
    assert heard(edited) == {BASS: [(0, 4, 60, 64), (0, 16, 65, 64)], STRINGS: [(4, 4, 60, 64)]}
    assert [track.program for track in edited.tracks()] == [0, 0, 24, 33, 48]


def test_channel_ten_is_drums_and_names_decide_else(edit: Edit) -> None:
    kit = chunk(played(0, 10, 36, channel=9))
    fretless = chunk([named("Fretless Bass Guitar"), *played(0, 480, 40)])
    guitar = chunk([named("GUITAR "), programmed(48), *played(0, 480, 50)])
    sirens = chunk([named("Sirens"), programmed(125), *played(0, 480, 90)])
    edited = edit(midi(kit, fretless, guitar, sirens))
    assert heard(edited) == {DRUMS: [(0, 1, 36, 64)], BASS: [(0, 4, 40, 64)], GUITAR: [(0, 4, 50, 64)]}


def test_a_type_0_name_is_a_lone_channels_instrument(edit: Edit) -> None:
    alone = [named("Guitar"), *played(0, 480, 50, channel=3)]
    assert list(heard(edit(midi(chunk(alone), kind=0)))) == [GUITAR]
    two = [*alone, programmed(33, 4), *played(0, 480, 40, channel=4)]
    assert list(heard(edit(midi(chunk(two), kind=0)))) == [PIANO, BASS]


def test_channels_may_have_names_of_their_own(edit: Edit) -> None:
    names = [(0, meta(0x20, b"\x02")), (0, meta(4, b"Strings")), programmed(0, 5), (0, meta(4, b"ignored"))]
    notes = [*played(0, 480, 50, channel=2), *played(0, 480, 60, channel=5)]
    assert list(heard(edit(midi(chunk([*names, *notes]), kind=0)))) == [PIANO, STRINGS]


def test_an_endless_note_lasts_to_the_end_of_track(edit: Edit) -> None:
    events = [(480, b"\x90\x3c\x40"), *played(0, 480, 70)]
    assert heard(edit(midi(chunk(events, end=1920)))) == {PIANO: [(0, 4, 70, 64), (4, 12, 60, 64)]}


def test_notes_of_one_pitch_end_first_in_first_out(edit: Edit) -> None:
    events = [(0, b"\x90\x3c\x40"), (480, b"\x90\x3c\x41"), (960, b"\x90\x3c\x00"), (1440, b"\x80\x3c\x00")]
    assert heard(edit(midi(chunk(events, running=True)))) == {PIANO: [(0, 8, 60, 64), (4, 8, 60, 65)]}


def test_tempos_on_the_grid_are_exact(edit: Edit) -> None:
    edited = edit(midi(chunk([tempo(0, 612_345), tempo(1920, 400_001), tempo(1920, 500_003)]), chunk(played(0, 480))))
    assert edited.tempo_map == TempoMap.of([(0, 612_345), (16, 500_003)])
    assert edit(midi(chunk([tempo(1920, 400_000)]))).tempo_map == TempoMap.of([(0, 500_000), (16, 400_000)])


def test_a_tempo_change_off_the_grid_moves_no_later_time(edit: Edit) -> None:
    changes = [(0, 500_000), (100, 300_000), (110, 900_000), (1000, 450_000), (1801, 333_333)]
    tempo_map = edit(midi(chunk([tempo(*change) for change in changes]))).tempo_map
    exact, now = {0: Fraction(0)}, Fraction(0)
    tempos = dict(changes)
    uspq = 0
    for tick in range(3000):
        uspq = tempos.get(tick, uspq)
        now += Fraction(uspq, 480)
        exact[tick + 1] = now
    for sixteenth in range(25):
        assert abs(tempo_map.seconds(sixteenth) * 1_000_000 - exact[sixteenth * 120]) < 1


def test_a_tempo_of_nothing_is_passed_over(edit: Edit) -> None:
    assert edit(midi(chunk([tempo(0, 0), tempo(480, 0)]))).tempo_map == TempoMap.constant(120)


def test_bars_in_another_metre_are_not_heard(edit: Edit) -> None:
    notes = [*played(0, 480), *played(1920, 2400), *played(3840, 4320), *played(3800, 4320, 61)]
    edited = edit(midi(chunk([metre(0, 4, 2), metre(1920, 2, 1), metre(3840, 3, 2)]), chunk(notes)))
    assert edited.bars == 2
    assert heard(edited) == {PIANO: [(0, 4, 60, 64), (16, 4, 60, 64)]}
    edited.check([(0, 2)])
    with pytest.raises(MidiError, match=r"time signature of 3/4 at bar 3.*Give bars before bar 3, or export"):
        edited.check([(0, 1), (2, 3)])


def test_bars_that_begin_elsewhere_are_another_metre(edit: Edit) -> None:
    with pytest.raises(MidiError, match="4/4 in the middle of bar 2"):
        edit(midi(chunk([metre(2400, 4, 2)]))).check([(0, 2)])
    with pytest.raises(MidiError, match=r"6/8 at bar 1, and bars are counted in 4/4\. Export it in 4/4"):
        edit(midi(chunk([metre(0, 6, 3)]))).check([(0, 1)])


def test_the_last_of_several_signatures_on_a_tick_holds(edit: Edit) -> None:
    edit(midi(chunk([metre(0, 3, 2), metre(0, 4, 2)]))).check([(0, 9)])


def test_a_note_early_for_a_section_is_heard_before_it(edit: Edit) -> None:
    edited = edit(midi(chunk([named("Piano"), *played(1900, 2400), *played(1930, 2400, 64), *played(3830, 4000, 65)])))
    inside = [(15, 5, 60, 64), (16, 4, 64, 64), (32, 1, 65, 64)]
    assert heard(edited, [(1, 2)], [PIANO])[PIANO] == inside
    assert heard(edited, [(1, 2)], [BASS])[PIANO] == [(16, 4, 60, 64), *inside[1:]]
    assert heard(edited, [(0, 1), (1, 2)], [PIANO])[PIANO] == [(16, 4, 60, 64), *inside[1:]]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (midi(chunk(played(0, 480)))[:-3], "damaged MIDI file: it is cut off"),
        (midi(), "has no tracks"),
        (midi(chunk([]), chunk([]), kind=2), "of type 2"),
        (midi(chunk([]), division=0xE728), "counts in timecode"),
        (midi(chunk(played(0, 480 * 4 * 10_001))), "beyond bar 10,000"),
    ],
)
def test_what_cannot_be_read_is_named(edit: Edit, data: bytes, message: str) -> None:
    with pytest.raises(MidiError, match=message):
        edit(data)


@settings(max_examples=150, deadline=None)
@given(data=files())
def test_notes_are_those_that_another_library_reads(edit: Edit, data: bytes) -> None:
    edited = edit(data)
    assume(edited.notes)
    found = [(n.start, n.end - n.start, n.pitch, n.velocity) for n in edited.notes if n.off is not None]
    assert Counter(found) == Counter(note[1:] for note in by_symusic(data).elements())
