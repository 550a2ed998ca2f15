import numpy as np
import pytest

from cmt_bridge.composition.codec import Grid, GridNotes
from cmt_bridge.core.form import NEW
from cmt_bridge.core.instruments import Instrument
from cmt_bridge.training.augmentation import augment, bars_back
from cmt_bridge.training.dataset import Dataset
from cmt_bridge.training.examples import stretch_of

DRUMS, PIANO, BASS = int(Instrument.DRUMS), int(Instrument.PIANO), int(Instrument.BASS)
C, F, G = (60, 64, 67), (65, 69, 72), (67, 71, 74)
UNKNOWN = 0


def chords(*bars: tuple[int, ...]) -> GridNotes:
    """Give a chord held through each bar."""
    rows = [(bar * 16, PIANO, pitch, 16, 80) for bar, chord in enumerate(bars) for pitch in chord]
    return np.array(rows, np.int64).reshape(-1, len(Grid))


def ticks_of(notes: GridNotes, bar: int) -> list[int]:
    onset = notes[:, Grid.ONSET] - bar * 16
    return np.unique(onset[(onset >= 0) & (onset < 16)]).tolist()


def test_bars_know_which_earlier_bars_had_their_harmony() -> None:
    rng = np.random.default_rng(0)
    assert bars_back(chords(C, F, G, F), 4, rng).tolist() == [1 + NEW, 1 + NEW, 1 + NEW, 1 + 2]
    assert bars_back(chords(C, (), C), 3, rng).tolist() == [1 + NEW, UNKNOWN, 1 + 2]
    loop = [bars_back(chords(*[C] * 9), 9, rng)[8] - 1 for _ in range(200)]
    assert set(loop) == set(range(1, 9))
    assert np.mean([back % 4 == 0 for back in loop]) > 0.4  # two of eight, but they are whole phrases


def test_harmony_longer_ago_than_a_return_is_new() -> None:
    bars = [C, *[F] * 16, C]
    assert bars_back(chords(*bars), len(bars), np.random.default_rng(0))[-1] == 1 + NEW
    assert bars_back(chords(*bars[1:], C), len(bars), np.random.default_rng(0))[-1] == 1 + 1


def test_only_the_chosen_bars_are_bent(dataset: Dataset) -> None:
    stretch = stretch_of(dataset.training[0], 2, 400)
    chosen = np.array([1, 4])
    notes, hits = augment(stretch.notes, chosen, np.random.default_rng(0))
    before, after = (n[~np.isin(n[:, Grid.ONSET] // 16, chosen)] for n in (stretch.notes, notes))
    assert (before == after).all()
    assert set((hits // 16).tolist()) <= {1, 4}


@pytest.mark.parametrize("seed", range(5))
def test_a_bent_bar_has_other_ticks_and_the_same_pitches(dataset: Dataset, seed: int) -> None:
    stretch = stretch_of(dataset.training[seed], 0, 700)
    every = np.arange(stretch.bars)
    notes, hits = augment(stretch.notes, every, np.random.default_rng(seed))
    counts = {len(ticks_of(notes, bar)) for bar in every}
    assert len(counts) > 4  # the music has eight in each
    assert {int(hit) % 16 for hit in hits} & set(range(1, 16, 2))  # off its eighths
    for bar in every:
        ticks = {int(hit) - bar * 16 for hit in hits if hit // 16 == bar}
        assert ticks <= set(ticks_of(notes, bar))  # a hit sounds
        old, new = (n[n[:, Grid.ONSET] // 16 == bar] for n in (stretch.notes, notes))
        pitched = new[:, Grid.INSTRUMENT] != DRUMS
        assert set(new[pitched, Grid.PITCH].tolist()) <= set(old[:, Grid.PITCH].tolist())


def test_bent_notes_are_in_order_and_clean(dataset: Dataset) -> None:
    stretch = stretch_of(dataset.training[1], 0, 700)
    notes, _ = augment(stretch.notes, np.arange(stretch.bars), np.random.default_rng(1))
    columns = (notes[:, Grid.PITCH], notes[:, Grid.INSTRUMENT], notes[:, Grid.ONSET])
    assert (np.lexsort(columns) == np.arange(len(notes))).all()
    assert len(np.unique(notes[:, : Grid.DURATION], axis=0)) == len(notes)
    assert (notes[:, Grid.DURATION] >= 1).all()


def test_what_lasted_until_the_next_onset_does_so_again() -> None:
    walk = np.array([(4 * beat, BASS, 40 + beat, 4, 80) for beat in range(4)], np.int64)
    for seed in range(20):
        notes, _ = augment(walk, np.array([0]), np.random.default_rng(seed))
        kept = notes[notes[:, Grid.INSTRUMENT] == BASS]
        ends = [*kept[1:, Grid.ONSET].tolist(), 16]
        assert (kept[:, Grid.ONSET] + kept[:, Grid.DURATION]).tolist() == ends


def test_silence_stays_silent() -> None:
    notes, hits = augment(chords(C, (), C), np.array([1]), np.random.default_rng(0))
    assert (notes == chords(C, (), C)).all()
    assert not len(hits)
