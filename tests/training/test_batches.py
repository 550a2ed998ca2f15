import numpy as np
import torch

from cmt_bridge.composition.codec import Grid, decode
from cmt_bridge.core.instruments import Instrument
from cmt_bridge.core.tokens import BAR, Column, Type
from cmt_bridge.training.batches import Sampler, evaluation_batches
from cmt_bridge.training.dataset import Dataset


def test_crops_are_whole_words_with_true_counts(dataset: Dataset) -> None:
    sampler = Sampler(dataset.training, batch=16, length=96, period=4096, seed=0)
    batch = sampler.draw()
    assert batch.words == int(batch.mask.sum())
    for rows, initial, mask in zip(batch.rows.numpy(), batch.initial.numpy(), batch.mask.numpy(), strict=True):
        words = rows[mask > 0]
        assert words[0, Column.BEAT] == BAR
        assert (words[0, Column.POSITION] % 16) == 0
        ended = words[:, Column.TYPE] == Type.EOS
        assert ended.sum() <= 1
        assert not ended[:-1].any()
        notes = decode(words)
        assert set(notes[:, Grid.INSTRUMENT]) <= set(initial[:, 2]) | {0}
        assert ((words[:, Column.TIMING] >= 1) & (words[:, Column.TIMING] <= 101)).all()


def test_transposing_leaves_drums_alone(dataset: Dataset) -> None:
    sampler = Sampler(dataset.training, batch=32, length=96, period=4096, seed=1)
    notes = np.concatenate([decode(rows) for rows in sampler.draw().rows.numpy()])
    drums = notes[notes[:, Grid.INSTRUMENT] == Instrument.DRUMS, Grid.PITCH]
    bass = notes[notes[:, Grid.INSTRUMENT] == Instrument.BASS, Grid.PITCH]
    assert set(drums) <= set(range(36, 44))
    assert bass.min() < 40
    assert bass.max() > 47


def test_batches_are_seeded(dataset: Dataset) -> None:
    first, second, other = (
        Sampler(dataset.training, batch=4, length=64, period=4096, seed=seed).draw().rows for seed in (0, 0, 1)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_the_end_of_a_piece_is_a_word(dataset: Dataset) -> None:
    piece = dataset.training[0]
    (batch,) = evaluation_batches([piece], batch=2, length=2000, count=1)
    ended = [
        bool(rows[mask > 0][-1, Column.TYPE] == Type.EOS) for rows, mask in zip(batch.rows, batch.mask, strict=True)
    ]
    assert ended == [True, True]
