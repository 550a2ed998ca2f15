import math

import numpy as np
import pytest

from cmt_bridge.composition.codec import Grid, GridNotes
from cmt_bridge.core.instruments import Instrument
from cmt_bridge.training.measures.memory import Index
from cmt_bridge.training.measures.runs import events_of
from tests.training.measures.notes import NO_NOTES, band, chain, grid, in_order, transposed

DRUMS, PIANO, BASS = Instrument.DRUMS, Instrument.PIANO, Instrument.BASS
BARS = 24
RNG = np.random.default_rng(7)
PIECES = [(band(RNG, BARS), BARS) for _ in range(5)]
INDEX = Index(PIECES)
NEW = band(RNG, BARS)


def bars(notes: GridNotes, first: int, count: int) -> tuple[GridNotes, int]:
    """Give some bars of a piece as a piece."""
    onset = notes[:, Grid.ONSET] - first * 16
    kept = notes[(onset >= 0) & (onset < count * 16)].copy()
    kept[:, Grid.ONSET] -= first * 16
    return kept, count


def test_events_tell_ticks_instrument_and_interval() -> None:
    notes = grid((3, PIANO, 60), (3, BASS, 40), (5, PIANO, 64), (5, DRUMS, 36), (5, BASS, 38))
    events = events_of(notes)
    fields = list(zip(events >> 12, events >> 9 & 7, events & 511, strict=True))
    # In word order; 0 is the first note of its instrument, intervals lie around 128, drum keys above 256.
    assert fields == [
        (0, PIANO, 0),
        (0, BASS, 0),
        (2, DRUMS, 256 + 36),
        (0, PIANO, 128 + 4),
        (0, BASS, 128 - 2),
    ]
    assert (events_of(transposed(notes, 5)) == events).all()


def test_a_piece_is_found_whole_in_any_key() -> None:
    for number, (notes, length) in enumerate(PIECES):
        for by in (0, -4):
            run = INDEX.longest_run(transposed(notes, by))
            assert (run.notes, run.start, run.piece) == (len(notes), 0, number)
            assert run.bars == (notes[-1, Grid.ONSET] - notes[0, Grid.ONSET]) / 16
            assert INDEX.copied_share(transposed(notes, by), length) == 1
            assert INDEX.longest_window(transposed(notes, by), length) == 16


def test_new_music_is_not_found() -> None:
    assert INDEX.longest_run(NEW).notes < 16
    assert INDEX.copied_share(NEW, BARS) == 0
    assert INDEX.longest_window(NEW, BARS) == 0


@pytest.mark.parametrize(("first", "count"), [(3, 4), (10, 7), (0, 9), (16, 8)])
def test_a_passage_is_found_where_it_is(first: int, count: int) -> None:
    passage = transposed(bars(PIECES[2][0], first, count)[0], 3), count
    notes, length = chain([bars(NEW, 0, 5), passage, bars(NEW, 5, 6)])
    assert INDEX.longest_window(notes, length) == count
    # Of length - 3 windows count - 3 lie within the passage.
    assert INDEX.copied_share(notes, length) == pytest.approx((count - 3) / (length - 3))
    run = INDEX.longest_run(notes)
    # A bar has 24 notes. The first piano and bass of the passage follow other notes than in the piece, so that the run
    # begins after them, but for chance; by chance it also goes on for a note or two.
    assert count * 24 - 3 <= run.notes <= count * 24 + 3
    assert run.piece == 2
    assert 5 * 24 <= run.start <= 5 * 24 + 3
    assert run.bars == pytest.approx(count, abs=0.4)


def test_a_run_ends_with_the_piece() -> None:
    notes, _ = chain([PIECES[0], PIECES[1]])
    assert INDEX.longest_run(notes).notes == BARS * 24


@pytest.mark.parametrize("length", [1, 5, 15, 16, 17, 31, 32, 33, 100])
def test_runs_of_any_length_are_found(length: int) -> None:
    # A drum solo has no intervals, so a slice of it is a run, as the note before it is a tick before there too.
    rng = np.random.default_rng(length)
    solo = grid(*((tick, DRUMS, int(key)) for tick, key in enumerate(rng.integers(35, 82, 300))))
    index = Index([(solo, 19)])
    other = solo[100 : 100 + length].copy()
    other[:, Grid.ONSET] += 900
    run = index.longest_run(np.concatenate([grid((999, BASS, 40)), other]))
    assert (run.notes, run.start, run.piece) == (length, 1, 0)
    assert run.bars == (length - 1) / 16


def test_durations_and_velocities_do_not_hide_a_copy() -> None:
    notes = PIECES[1][0].copy()
    notes[:, Grid.DURATION] = 7
    notes[:, Grid.VELOCITY] = 33
    assert INDEX.longest_window(notes, BARS) == 16
    assert INDEX.longest_run(notes).notes == len(notes)


def test_a_window_needs_bar_lines_same_drums_one_transposition() -> None:
    notes = PIECES[3][0]
    late = notes + np.array([2, 0, 0, 0, 0])
    assert INDEX.copied_share(late, BARS + 1) == 0
    drums = notes[:, Grid.INSTRUMENT] == DRUMS
    bass = notes[:, Grid.INSTRUMENT] == BASS
    for which in (drums, bass):
        other = notes.copy()
        other[which, Grid.PITCH] += 1
        assert INDEX.copied_share(in_order(other), BARS) == 0
    one = notes.copy()
    one[len(one) // 2, Grid.PITCH] += 1  # a note of bar 12: the windows from bars 9 to 12 are new
    assert INDEX.copied_share(in_order(one), BARS) == pytest.approx((BARS - 3 - 4) / (BARS - 3))
    assert INDEX.longest_window(in_order(one), BARS) == 12


def test_small_windows_are_not_counted() -> None:
    few = grid(*((16 * bar, i, 40) for bar in range(6) for i in (DRUMS, BASS)))
    assert math.isnan(Index([(few, 6)]).copied_share(few, 6))
    assert Index([(few, 6)]).longest_window(few, 6) == 0
    alone = grid(*((tick, PIANO, 60 + tick % 7) for tick in range(96)))
    assert math.isnan(Index([(alone, 6)]).copied_share(alone, 6))
    assert INDEX.copied_share(few, 6, length=4) != 0  # nothing is counted there either


def test_pieces_of_32_bits_are_found_too() -> None:
    index = Index([(notes.astype(np.int32), length) for notes, length in PIECES])
    assert index.longest_run(PIECES[0][0]).notes == len(PIECES[0][0])
    assert index.longest_window(PIECES[0][0].astype(np.int32), BARS) == 16


def test_without_music_there_is_nothing_to_find() -> None:
    assert INDEX.longest_run(NO_NOTES).notes == 0
    assert math.isnan(INDEX.copied_share(NO_NOTES, 8))
    assert INDEX.longest_window(NO_NOTES, 8) == 0
    assert INDEX.longest_window(NEW, 1) == 0
    nothing = Index([])
    assert nothing.longest_run(NEW).piece == -1
    assert nothing.copied_share(NEW, BARS) == 0
    assert nothing.longest_window(NEW, BARS) == 0
    assert Index([(NO_NOTES, 4)]).longest_run(NEW).notes == 0
