from __future__ import annotations

import numpy as np

from cmt_bridge.composition.codec import Grid, GridNotes
from cmt_bridge.core.instruments import Instrument
from cmt_bridge.training.duplicates import Groups, near_duplicates, shingles, signature


def band(seed: int, bars: int = 40) -> GridNotes:
    """Give a song of one drum pattern, and of chords and a bass over a random progression."""
    rng = np.random.default_rng(seed)
    rows = []
    for bar in range(bars):
        root = int(rng.integers(0, 12))
        for step in range(0, 16, 2):
            rows.append((bar * 16 + step, Instrument.DRUMS, 42, 1, 80))
            rows.append((bar * 16 + step, Instrument.BASS, 36 + root, 2, 80))
            if step % 4 == 0:
                rows += [(bar * 16 + step, Instrument.PIANO, 60 + root + third, 4, 80) for third in (0, 4, 7)]
    notes = np.array(rows, np.int64)
    return notes[np.lexsort((notes[:, 2], notes[:, 1], notes[:, 0]))]


def later(notes: GridNotes, bars: int) -> GridNotes:
    notes = notes.copy()
    notes[:, Grid.ONSET] += bars * 16
    return notes


def transposed(notes: GridNotes, semitones: int) -> GridNotes:
    notes = notes.copy()
    notes[notes[:, Grid.INSTRUMENT] != Instrument.DRUMS, Grid.PITCH] += semitones
    return notes


def changed(notes: GridNotes, share: float) -> GridNotes:
    """Give the song with a share of its notes left out."""
    rng = np.random.default_rng(1)
    return np.delete(notes, rng.choice(len(notes), int(len(notes) * share), replace=False), axis=0)


def groups_of(*songs: GridNotes) -> list[int]:
    groups = Groups(len(songs))
    near_duplicates(np.stack([signature(notes) for notes in songs]), groups)
    return [groups.find(number) for number in range(len(songs))]


def test_transposing_changes_no_shingle() -> None:
    assert np.array_equal(shingles(band(0)), shingles(transposed(band(0), 5)))
    intro = band(1)[band(1)[:, Grid.INSTRUMENT] == Instrument.DRUMS]
    late = np.concatenate([intro, later(band(0), 40)])
    assert np.array_equal(shingles(late), shingles(transposed(late, 5)))
    drums = band(0)
    drums[:, Grid.INSTRUMENT] = Instrument.DRUMS
    other_drums = drums.copy()
    other_drums[:, Grid.PITCH] += 1
    assert not np.isin(shingles(other_drums), shingles(drums)).any()


def test_copies_with_changes_are_found_and_others_left_alone() -> None:
    songs = [band(seed) for seed in range(30)]
    versions = [changed(transposed(songs[0], -3), 0.02), transposed(songs[7], 4)]
    assert groups_of(*songs, *versions) == [*range(30), 0, 7]


def test_a_pattern_over_other_chords_is_another_song() -> None:
    one, other = (set(shingles(band(seed)).tolist()) for seed in (0, 1))
    assert len(one & other) < 0.1 * len(one | other)


def test_how_often_a_loop_comes_counts() -> None:
    once = band(0, bars=4)
    parts = [later(once, 4 * k) for k in range(8)]
    assert groups_of(once, np.concatenate(parts)) == [0, 1]


def test_groups_grow_together() -> None:
    groups = Groups(6)
    groups.join(4, 5)
    groups.join(2, 4)
    groups.join(1, 0)
    assert [groups.find(member) for member in range(6)] == [0, 0, 2, 3, 2, 2]


def test_songs_shorter_than_a_shingle_are_no_danger() -> None:
    assert groups_of(band(0)[:1], band(1)[:3], band(0)) == [0, 1, 2]
