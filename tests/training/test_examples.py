from dataclasses import replace

import numpy as np
import pytest
import torch

from cmt_bridge.composition.codec import Grid
from cmt_bridge.core.events import BAR_LINE, END, FIELD_CLASSES, START, Field, Part
from cmt_bridge.core.instruments import Instrument
from cmt_bridge.training.dataset import Dataset
from cmt_bridge.training.examples import EventSampler, events_of, fixed_batches, stretch_of


@pytest.fixture
def sampler(dataset: Dataset) -> EventSampler:
    return EventSampler(dataset.training, dataset.styles, batch=16, length=120, seed=0)


def test_a_stretch_is_whole_bars_that_fit(dataset: Dataset) -> None:
    piece = dataset.training[0]
    for start in (0, 3, piece.bars - 1):
        stretch = stretch_of(piece, start, 100)
        onset = np.asarray(piece.notes[:, Grid.ONSET]) - start * 16
        expected = piece.notes[(onset >= 0) & (onset < stretch.bars * 16)]
        assert len(stretch.notes) == len(expected)
        assert (stretch.notes[:, Grid.PITCH] == expected[:, Grid.PITCH]).all()
        assert stretch.bars + len(stretch.notes) <= 100
        longer = stretch_of(piece, start, 100 + 60)
        assert longer.bars > stretch.bars or stretch.ends
    assert stretch_of(piece, piece.bars - 1, 100).ends
    assert not stretch_of(piece, 0, 100).ends


def test_a_stretch_has_a_bar_even_where_none_fits(dataset: Dataset) -> None:
    stretch = stretch_of(dataset.training[0], 0, 5)
    assert stretch.bars == 1
    assert len(stretch.notes) == 5


def test_a_middle_comes_last_and_nothing_is_lost(dataset: Dataset) -> None:
    stretch = stretch_of(dataset.training[0], 0, 400)
    plain, inward = events_of(replace(stretch, of=99)), events_of(replace(stretch, of=99), middle=(3, 5))
    starts = np.flatnonzero(inward[:, Field.PLACE] == START)
    assert inward[starts, Field.PART].tolist() == [Part.BEFORE, Part.AFTER, Part.MIDDLE]
    assert inward[starts, Field.POSITION].tolist() == [0, 5 * 16, 3 * 16]
    bars = inward[inward[:, Field.PLACE] == BAR_LINE, Field.POSITION] // 16
    assert bars.tolist() == [0, 1, 2, *range(5, min(13, stretch.bars)), 3, 4]
    kept = plain[1:][plain[1:, Field.POSITION] < 13 * 16]
    again = np.delete(inward, starts, 0)
    again = again[np.argsort(again[:, Field.POSITION], kind="stable")]
    again[:, Field.PART] = 0
    assert (again == kept).all()


def test_the_end_of_a_piece_is_an_event(dataset: Dataset) -> None:
    piece = dataset.training[0]
    assert (events_of(stretch_of(piece, piece.bars - 2, 500))[:, Field.PLACE] == END).tolist()[-1]
    assert not (events_of(stretch_of(piece, 0, 100))[:, Field.PLACE] == END).any()


def test_batches_are_seeded_and_within_their_classes(dataset: Dataset, sampler: EventSampler) -> None:
    batch = sampler.draw()
    again = EventSampler(dataset.training, dataset.styles, batch=16, length=120, seed=0).draw()
    other = EventSampler(dataset.training, dataset.styles, batch=16, length=120, seed=1).draw()
    assert torch.equal(batch.events, again.events)
    assert not torch.equal(batch.events, other.events)
    assert batch.events.shape == (16, 121, len(Field))
    assert batch.weights.sum() == pytest.approx(1)
    for field, classes in FIELD_CLASSES.items():
        assert batch.events[..., field].min() >= 0
        assert batch.events[..., field].max() < classes
    assert batch.events[..., Field.STYLE].max() == 2


def test_start_words_and_padding_are_not_learned(sampler: EventSampler) -> None:
    batch = sampler.draw()
    said, weights = batch.events[:, 1:], batch.weights
    assert (weights[said[..., Field.PLACE] == START] == 0).all()
    assert batch.words == int((weights > 0).sum())
    for rows, weight in zip(said, weights, strict=True):
        last = int((weight > 0).nonzero().max())
        assert (rows[last + 1 :] == 0).all()


def test_every_cue_is_given_and_left_open(sampler: EventSampler) -> None:
    events = torch.cat([sampler.draw().events for _ in range(6)])
    for field in (Field.STYLE, Field.KEY, Field.PLAYERS, Field.TIMING, Field.HIT_IN, Field.BARS_BACK, Field.FOLLOWS):
        open_ = (events[:, 1:, field] == 0).all(1)
        assert 0 < int(open_.sum()) < len(events)


def test_after_a_middle_no_return_is_given(sampler: EventSampler) -> None:
    events = torch.cat([sampler.draw().events for _ in range(6)]).flatten(0, 1)
    after = events[:, Field.PART] == Part.AFTER
    assert (events[after, Field.BARS_BACK] == 0).all()
    assert events[~after, Field.BARS_BACK].max() > 0


def test_a_cue_holds_for_its_whole_bar(sampler: EventSampler) -> None:
    for rows in torch.cat([sampler.draw().events for _ in range(6)]).numpy():
        played = rows[(rows[:, Field.PLACE] != START) & (rows[:, Field.PART] != Part.AFTER)]
        bar = played[:, Field.POSITION] // 16
        for field in (Field.BARS_BACK, Field.FOLLOWS):
            for number in np.unique(bar[played[:, Field.PLACE] == BAR_LINE]):
                inside = (bar == number) & (played[:, Field.TICK] > 0)
                assert len(np.unique(played[inside, field])) <= 1


def test_hits_are_what_the_music_has(sampler: EventSampler) -> None:
    found = 0
    for rows in torch.cat([sampler.draw().events for _ in range(3)]).numpy():
        now = rows[(rows[:, Field.HIT_IN] == 1) & (rows[:, Field.PITCH] > 0)]
        for hit in now:
            there = rows[(rows[:, Field.POSITION] == hit[Field.POSITION]) & (rows[:, Field.PITCH] > 0)]
            assert there[:, Field.STRENGTH].max() == hit[Field.HIT_STRENGTH]
            found += 1
    assert found > 10


def test_transposing_leaves_drums_alone(sampler: EventSampler) -> None:
    events = torch.cat([sampler.draw().events for _ in range(6)]).flatten(0, 1)
    drums = events[events[:, Field.INSTRUMENT] == Instrument.DRUMS, Field.PITCH] - 1
    bass = events[events[:, Field.INSTRUMENT] == Instrument.BASS, Field.PITCH] - 1
    assert set(drums.tolist()) <= set(range(36, 44))
    assert bass.min() < 40
    assert bass.max() > 47


def test_held_out_batches_are_always_the_same(dataset: Dataset) -> None:
    first, second = (fixed_batches(dataset.held_out, batch=2, length=90, count=3) for _ in range(2))
    assert all(torch.equal(a.events, b.events) for a, b in zip(first, second, strict=True))
    events = torch.cat([batch.events for batch in first])
    assert (events[..., Field.STYLE] == 0).all()
    assert (events[:, 1, Field.PLAYERS] > 0).all()
    assert (events[..., Field.PART] == Part.BEFORE).all()
