import math

import numpy as np
import pytest

from cmt_bridge.core.instruments import Instrument
from cmt_bridge.training.measures.sanity import PITCHED, sanity_of
from tests.training.measures.notes import NO_NOTES, band, grid, transposed

DRUMS, PIANO, GUITAR, BASS, STRINGS = Instrument


def test_the_figures_of_a_small_piece() -> None:
    notes = grid(
        *((tick, DRUMS, pitch) for tick, pitch in ((0, 36), (4, 38), (8, 36), (12, 49))),
        *((tick, BASS, pitch) for tick, pitch in ((0, 36), (2, 36), (8, 43), (32, 43), (36, 41))),
        *((tick, PIANO, pitch) for tick, pitch in ((0, 60), (0, 64), (8, 62), (8, 64), (32, 65))),
    )
    sanity = sanity_of(notes, 4)
    assert sanity.notes_per_bar == {DRUMS: 1, PIANO: 5 / 4, GUITAR: 0, BASS: 5 / 4, STRINGS: 0}
    assert sanity.silent_bars == {DRUMS: 3 / 4, PIANO: 1 / 2, GUITAR: 1, BASS: 1 / 2, STRINGS: 1}
    assert sanity.empty_bars == 1 / 2
    # Ticks 0 and 8 of 0, 2, 8, 32, 36.
    assert sanity.bass_on_drums == pytest.approx(2 / 5)
    # Tops of the piano: 64, 64, 65; of the bass: 36, 36, 43, 43, 41.
    assert sanity.repeated[PIANO] == 1 / 2
    assert sanity.repeated[BASS] == 2 / 4
    assert math.isnan(sanity.repeated[GUITAR])
    assert sanity.drum_keys == 3
    assert sanity.backbone == 3 / 4
    assert sanity.in_key == 1


def test_the_range_leaves_out_a_twentieth_on_both_sides() -> None:
    sanity = sanity_of(grid(*((tick, STRINGS, 40 + tick) for tick in range(41))), 3)
    assert (sanity.low[STRINGS], sanity.high[STRINGS]) == (42, 78)
    assert math.isnan(sanity.low[PIANO])
    assert math.isnan(sanity.high[PIANO])


def test_nothing_plays() -> None:
    sanity = sanity_of(NO_NOTES, 2)
    assert sanity.empty_bars == 1
    assert set(sanity.silent_bars.values()) == {1}
    assert set(sanity.notes_per_bar.values()) == {0}
    assert sanity.drum_keys == 0
    shares = [sanity.in_key, sanity.bass_on_drums, sanity.backbone]
    figures = [figure[i] for figure in (sanity.low, sanity.high, sanity.repeated) for i in PITCHED]
    assert all(map(math.isnan, shares + figures))


def test_a_single_note_in_a_single_bar() -> None:
    sanity = sanity_of(grid((0, PIANO, 60), (20, PIANO, 60)), 1)
    assert sanity.notes_per_bar[PIANO] == 1
    assert math.isnan(sanity.repeated[PIANO])


def test_only_ranges_know_the_key() -> None:
    notes = band(np.random.default_rng(0), 4)
    one, other = sanity_of(notes, 4), sanity_of(transposed(notes, 3), 4)
    assert one.repeated[PIANO] == other.repeated[PIANO]
    assert one.in_key == other.in_key
    assert one.low[BASS] + 3 == other.low[BASS]
