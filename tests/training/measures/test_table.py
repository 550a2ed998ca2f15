import math

import numpy as np
import pytest

from cmt_bridge.core.instruments import Instrument
from cmt_bridge.training.measures.table import MEASURES, compare, values_of
from tests.training.measures.notes import NO_NOTES, grid

NAMES = [name for name, _ in MEASURES]


def test_the_measures_of_a_piece() -> None:
    assert len(set(NAMES)) == 17
    notes = grid(
        (0, Instrument.DRUMS, 36),
        (0, Instrument.BASS, 36),
        (4, Instrument.BASS, 36),
        (0, Instrument.PIANO, 60),
        (8, Instrument.PIANO, 64),
        (0, Instrument.STRINGS, 67),
    )
    # Bass repeats its one pitch, the piano does not, strings have one simu-note only: the mean of 1 and 0.
    expected = {
        "notes in key": 1,
        "bass onsets on drums": 1 / 2,
        "repeated notes": 1 / 2,
        "empty bars": 1 / 2,
        "bars without drums": 1 / 2,
        "bars without bass": 1 / 2,
        "drums notes per bar": 1 / 2,
        "piano notes per bar": 1,
        "guitar notes per bar": math.nan,
        "bass notes per bar": 1,
        "strings notes per bar": 1 / 2,
        "piano range": 0.9 * 4,
        "guitar range": math.nan,
        "bass range": 0,
        "strings range": 0,
        "drum keys": 1,
        "kick, snare and hi-hat": 1,
    }
    assert dict(zip(NAMES, values_of(notes, 2), strict=True)) == pytest.approx(expected, nan_ok=True)


def test_what_does_not_apply_is_not_a_number() -> None:
    values = dict(zip(NAMES, values_of(NO_NOTES, 3), strict=True))
    apply = {name for name, value in values.items() if not math.isnan(value)}
    assert apply == {"empty bars", "bars without drums", "bars without bass"}


def test_the_middle_of_held_out_songs() -> None:
    held_out = np.tile(np.arange(11.0)[:, None], (1, len(NAMES)))  # 0 to 10: percentiles 1, 5 and 9
    held_out[0, 1] = math.nan  # 1 to 10: 1.9, 5.5 and 9.1
    generated = np.full((3, len(NAMES)), 9.0)
    generated[:, 2] = 9.5
    generated[:, 3] = math.nan
    generated[:2, 4] = math.nan
    rows = compare(held_out, generated)
    assert [row.name for row in rows] == NAMES
    assert (rows[0].low, rows[0].middle, rows[0].high, rows[0].generated) == (1, 5, 9, 9)
    assert (rows[1].low, rows[1].middle, rows[1].high) == pytest.approx((1.9, 5.5, 9.1))
    assert [row.within for row in rows] == [True, True, False, False, *[True] * (len(NAMES) - 4)]
    assert math.isnan(rows[3].generated)


def test_without_pieces_nothing_is_within() -> None:
    assert not any(row.within for row in compare(np.empty((0, len(NAMES))), np.ones((1, len(NAMES)))))
