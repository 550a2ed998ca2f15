from __future__ import annotations

import numpy as np
import pytest

from cmt_bridge.composition.codec import Grid, GridNotes
from cmt_bridge.composition.metre import bars_until, four_four, passages, stretches
from cmt_bridge.core.instruments import Instrument
from cmt_bridge.core.song import Song, SongTrack

QUARTER = 480


def song(*notes: tuple[float, float], metres: tuple[tuple[float, int, int], ...] = (), quarter: int = QUARTER) -> Song:
    """Give a song of notes (start, end) at (beat, numerator, denominator), in quarters."""
    rows = np.array([(round(start * quarter), round(end * quarter), 60, 90) for start, end in notes], np.int64)
    track = SongTrack("Piano", 0, False, Instrument.PIANO, rows.reshape(-1, 4))
    return Song("song", quarter, (track,), (), tuple((round(beat * quarter), n, d) for beat, n, d in metres))


def beats(first: float, last: float) -> list[tuple[float, float]]:
    """Give a note on every quarter from `first` to before `last`."""
    return [(first + k, first + k + 1) for k in range(int(last - first))]


def laid(music: Song, longest: int = 64) -> list[list[tuple[int, int]]]:
    """Give onset and duration of the notes of each stretch."""
    return [
        [(int(row[Grid.ONSET]), int(row[Grid.DURATION])) for row in notes]
        for notes in four_four(music, longest=longest)
    ]


def test_no_signature_means_four_four() -> None:
    assert laid(song(*beats(0, 3))) == [[(0, 4), (4, 4), (8, 4)]]
    assert laid(song(*beats(0, 3), quarter=96)) == laid(song(*beats(0, 3), quarter=1000))


@pytest.mark.parametrize("sign", [(4, 4), (2, 2), (8, 8)])
def test_bars_of_sixteen_sixteenths_are_one_stretch(sign: tuple[int, int]) -> None:
    music = song(*beats(0, 16), metres=((0, *sign), (4, 4, 4), (8, *sign)))
    assert len(stretches(music)) == 1
    (notes,) = laid(music)
    assert [onset for onset, _ in notes] == list(range(0, 64, 4))


def test_other_metres_are_left_out() -> None:
    music = song(*beats(0, 8 + 12 + 8), metres=((0, 4, 4), (8, 3, 4), (20, 4, 4)))
    assert [(s.start // QUARTER, s.ticks, s.is_four_four) for s in stretches(music)] == [
        (0, 32, True),
        (8, 48, False),
        (20, 32, True),
    ]
    first, second = laid(music)
    assert first == second == [(onset, 4) for onset in range(0, 32, 4)]
    assert laid(song(*beats(0, 12), metres=((0, 3, 4),))) == []
    assert laid(song(*beats(0, 12), metres=((0, 12, 8),))) == []


def test_notes_are_cut_where_their_stretch_ends() -> None:
    music = song((0, 1), (7, 12), (20, 40), metres=((0, 4, 4), (8, 3, 4), (20, 4, 4)))
    assert laid(music) == [[(0, 4), (28, 4)], [(0, 64)]]
    assert laid(music, longest=16)[1] == [(0, 16)]


def test_bar_lines_are_counted_from_the_signature() -> None:
    music = song(*beats(0, 19), metres=((0, 4, 4), (7, 4, 4)))
    first, second = laid(music)
    assert len(first) == 7
    assert second[0] == (0, 4)


@pytest.mark.parametrize("sign", [(1, 4), (4, 4)])
def test_a_short_bar_before_is_a_pick_up(sign: tuple[int, int]) -> None:
    music = song((0, 0.5), (0.5, 2), *beats(1, 17), metres=((0, *sign), (1, 4, 4)))
    assert [s.is_pick_up for s in stretches(music)] == [True, False]
    (notes,) = laid(music)
    assert notes[:4] == [(12, 2), (14, 6), (16, 4), (20, 4)]


def test_a_pick_up_without_a_signature_stays_before_the_downbeat() -> None:
    (notes,) = four_four(song((7, 8), *beats(8, 16)), longest=64)
    (part,) = passages(notes)
    assert part[:2, Grid.ONSET].tolist() == [12, 16]
    assert bars_until(part) == 3


def test_a_short_stretch_is_a_pick_up_of_the_next() -> None:
    music = song(*beats(0, 18), metres=((0, 4, 4), (8, 2, 4), (10, 4, 4)))
    first, second = laid(music)
    assert [onset for onset, _ in first] == list(range(0, 32, 4))
    assert [onset for onset, _ in second] == [8, 12, *range(16, 48, 4)]


def test_slightly_early_notes_belong_to_their_bar_line() -> None:
    music = song(*beats(0, 7), (7.95, 9), *beats(9, 16), metres=((0, 3, 8), (8, 4, 4)))
    assert laid(music)[0][:2] == [(0, 4), (4, 4)]
    music = song(*beats(0, 7), (7.95, 9), *beats(9, 16), metres=((0, 4, 4), (8, 3, 8)))
    assert laid(music)[0][-1] == (24, 4)
    assert laid(song((0, 1), *beats(1, 9), metres=((1 / QUARTER, 4, 4),)))[0][:2] == [(16, 4), (20, 4)]


def test_a_signature_after_the_music_says_nothing() -> None:
    assert len(stretches(song(*beats(0, 8), metres=((0, 4, 4), (50, 3, 4))))) == 1
    assert laid(song()) == [[]]


def grid(*bars: int) -> GridNotes:
    """Give a note on the second beat of each bar."""
    return np.array([(bar * 16 + 4, Instrument.PIANO, 60, 4, 80) for bar in bars], np.int64).reshape(-1, 5)


def test_empty_bars_before_the_music_go() -> None:
    (part,) = passages(grid(3, 4, 5))
    assert part[:, Grid.ONSET].tolist() == [4, 20, 36]


def test_a_long_silence_parts_two_pieces() -> None:
    assert len(list(passages(grid(0, 1, 6)))) == 1
    first, second = passages(grid(0, 1, 7, 8))
    assert first[:, Grid.ONSET].tolist() == second[:, Grid.ONSET].tolist() == [4, 20]
    assert list(passages(grid())) == []


def test_bars_last_until_the_last_note_ends() -> None:
    notes = grid(0, 1)
    assert bars_until(notes) == 2
    notes[0, Grid.DURATION] = 60
    assert bars_until(notes) == 4
    assert bars_until(grid()) == 0
