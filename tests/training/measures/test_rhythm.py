import math
from itertools import combinations

import numpy as np
import pytest

from cmt_bridge.core.instruments import Instrument
from cmt_bridge.training.measures.rhythm import grooving, onsets
from tests.training.measures.notes import NO_NOTES, band, grid, transposed

DRUMS, PIANO = Instrument.DRUMS, Instrument.PIANO


def test_bars_differ_on_ticks_of_only_one() -> None:
    notes = grid((0, DRUMS, 36), (0, PIANO, 60), (4, DRUMS, 38), (16, PIANO, 60), (24, PIANO, 62))
    # Ticks {0, 4} and {0, 8}: two of 16 differ, or two of 64.
    assert grooving(notes, 2) == 1 - 2 / 16
    assert grooving(notes, 2, positions=64) == 1 - 2 / 64


def test_all_pairs_count_and_silent_bars_too() -> None:
    notes = grid((0, DRUMS, 36), (16, DRUMS, 36), (20, DRUMS, 36))
    # Bars {0}, {0, 4}, {}: they differ on 1, 1 and 2 ticks.
    assert grooving(notes, 3) == pytest.approx(1 - (1 + 1 + 2) / 3 / 16)


def test_the_closed_form_is_the_mean_over_pairs() -> None:
    rng = np.random.default_rng(0)
    notes = grid(*((int(tick), PIANO, 60) for tick in rng.choice(9 * 16, 50, replace=False)))
    starts = onsets(notes, 9)
    pairs = [1 - np.mean(a ^ b) for a, b in combinations(starts, 2)]
    assert grooving(notes, 9) == pytest.approx(np.mean(pairs))


def test_equal_bars_groove_perfectly_in_any_key() -> None:
    notes = band(np.random.default_rng(1), 4)
    assert grooving(notes, 4) == 1
    assert grooving(transposed(notes, 5), 4) == 1


def test_where_there_is_nothing_to_compare_there_is_no_figure() -> None:
    assert math.isnan(grooving(NO_NOTES, 4))
    assert math.isnan(grooving(grid((0, DRUMS, 36)), 1))
    assert math.isnan(grooving(NO_NOTES, 0))


def test_notes_after_the_last_bar_do_not_count() -> None:
    assert onsets(grid((0, DRUMS, 36), (40, DRUMS, 36)), 2).sum() == 1
