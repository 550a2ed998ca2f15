from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmt_bridge.composition.codec import Grid, bars_of, decode, encode, grid_of, quantize, tracks_of
from cmt_bridge.core.instruments import Instrument
from cmt_bridge.core.song import Song, SongTrack
from cmt_bridge.core.tokens import BAR, Column, Type
from cmt_bridge.midi.song import read_song


def song(*tracks: tuple[Instrument | None, list[list[int]]], tpq: int = 480) -> Song:
    return Song(
        "test",
        tpq,
        tuple(SongTrack("", 0, False, i, np.array(notes, np.int64).reshape(-1, 4)) for i, notes in tracks),
    )


def test_words_of_a_small_song() -> None:
    notes, length = quantize(song((Instrument.PIANO, [[0, 480, 60, 90], [0, 240, 64, 90], [960, 1080, 62, 90]])))
    rows = encode(notes, bars_of(length))
    expected = [
        (BAR, Type.RHYTHM, 3, 0, 0, 0, 0),
        (1, Type.RHYTHM, 2, 0, 0, Instrument.PIANO, 2),
        (0, Type.NOTE, 0, 61, 5, Instrument.PIANO, 0),
        (0, Type.NOTE, 0, 65, 3, Instrument.PIANO, 0),
        (9, Type.RHYTHM, 1, 0, 0, Instrument.PIANO, 1),
        (0, Type.NOTE, 0, 63, 2, Instrument.PIANO, 0),
    ]
    assert rows[:, : Column.TIMING].tolist() == [list(map(int, row)) for row in expected]


def test_onsets_round_half_to_even_and_notes_last() -> None:
    notes, _ = quantize(song((Instrument.BASS, [[60, 61, 40, 9], [180, 300, 41, 9]])))
    assert notes[:, [Grid.ONSET, Grid.DURATION]].tolist() == [[0, 1], [2, 1]]


def test_of_equal_notes_the_longest_stays() -> None:
    notes, _ = quantize(song((Instrument.BASS, [[0, 120, 40, 9], [10, 480, 40, 9]])))
    assert notes[:, Grid.DURATION].tolist() == [4]


def test_unplayable_tracks_count_for_the_length() -> None:
    notes, length = quantize(song((None, [[0, 9600, 40, 9]]), (Instrument.BASS, [[0, 120, 40, 9]])))
    assert (len(notes), length, bars_of(length)) == (1, 80, 6)


note_lists = st.lists(
    st.tuples(st.integers(0, 79), st.sampled_from(list(Instrument)), st.integers(0, 127), st.integers(1, 16)),
    max_size=60,
    unique_by=lambda note: note[:3],
)


@given(note_lists)
def test_notes_return_from_words(notes: list[tuple[int, int, int, int]]) -> None:
    grid = np.array([(*note, 80) for note in notes], np.int64).reshape(-1, len(Grid))
    grid = grid[np.lexsort((grid[:, 2], grid[:, 1], grid[:, 0]))]
    rows = encode(grid, 5)
    assert (decode(rows) == grid).all()
    assert (grid_of(tracks_of(grid)) == grid).all()
    assert (np.diff(rows[:, Column.POSITION]) >= 0).all()


@given(note_lists)
def test_counts_in_words_are_true(notes: list[tuple[int, int, int, int]]) -> None:
    grid = np.array([(*note, 80) for note in notes], np.int64).reshape(-1, len(Grid))
    rows = encode(grid[np.lexsort((grid[:, 2], grid[:, 1], grid[:, 0]))], 5)
    bars = rows[rows[:, Column.BEAT] == BAR]
    ticks = [len({note[0] for note in notes if note[0] // 16 == bar}) for bar in range(5)]
    assert (bars[:, Column.DENSITY] - 1).tolist() == ticks
    assert rows[:, Column.STRENGTH].sum() == len(notes)


@pytest.mark.shared
@pytest.mark.parametrize(
    "name",
    ["g1_plain", "g2_tempo_change_offgrid", "g3_long_short_halfticks", "g4_silence_sparse_34", "g5_dense_dup_tracks"],
)
def test_words_are_those_of_the_original(shared: Path, name: str) -> None:
    reference = np.load(shared / "reference" / "midi" / f"{name}.npz")
    notes, length = quantize(read_song(shared / "reference" / "midi" / f"{name}.mid"), least_notes=20, tidy=False)
    rows = encode(notes, bars_of(length))
    assert length == reference["n_beat"]
    assert (rows[:, [1, 0, 2, 3, 4, 5, 6]] == reference["tokens"][:-1, :7]).all()  # its last row is EOS
