import math

import numpy as np
import pytest

from cmt_bridge.core.instruments import Instrument
from cmt_bridge.training.measures.tonality import in_key, pitch_class_entropy, pitch_entropy
from tests.training.measures.notes import NO_NOTES, band, grid, transposed

DRUMS, PIANO, BASS = Instrument.DRUMS, Instrument.PIANO, Instrument.BASS


def test_entropy_counts_notes_per_pitch_class() -> None:
    # C three times, in two octaves, and G once: 3/4 log2(4/3) + 1/4 log2(4).
    notes = grid((0, PIANO, 60, 16), (4, PIANO, 72), (8, BASS, 48), (12, PIANO, 67))
    assert pitch_class_entropy(notes, 1, window=1) == pytest.approx(0.75 * math.log2(4 / 3) + 0.5)
    # Of the 128 pitches four are used, once each.
    assert pitch_entropy(notes) == 2


def test_windows_slide_by_bars_and_silent_ones_are_left_out() -> None:
    # Bars: C; C and D; nothing; nothing.
    notes = grid((0, PIANO, 60), (16, PIANO, 60), (20, PIANO, 62))
    assert pitch_class_entropy(notes, 4, window=1) == pytest.approx((0 + 1) / 2)
    # Windows of two bars: CCD, CD, nothing.
    third = math.log2(3) - 2 / 3
    assert pitch_class_entropy(notes, 4, window=2) == pytest.approx((third + 1) / 2)
    assert pitch_class_entropy(notes, 4, window=4) == pytest.approx(third)
    assert pitch_class_entropy(notes, 4) == pytest.approx(third)


def test_all_pitch_classes_alike_have_the_highest_entropy() -> None:
    notes = grid(*((tick, PIANO, 60 + tick) for tick in range(12)))
    assert pitch_class_entropy(notes, 1) == pytest.approx(math.log2(12))


def test_the_share_in_key() -> None:
    scale = [(4 * step, PIANO, pitch, 4) for step, pitch in enumerate((60, 62, 64, 65, 67, 69, 71, 72, 67, 64, 60))]
    assert in_key(grid(*scale)) == 1
    assert in_key(grid(*scale, (44, PIANO, 61))) == pytest.approx(11 / 12)
    # The raised seventh is not of the natural minor scale.
    minor = [(4 * step, PIANO, pitch, 8) for step, pitch in enumerate((57, 60, 64, 57, 59, 60, 62, 64, 65, 67, 69))]
    assert in_key(grid(*minor, (44, PIANO, 68))) == pytest.approx(11 / 12)


def test_drums_have_no_pitch() -> None:
    notes = grid((0, PIANO, 60))
    with_drums = grid((0, PIANO, 60), (0, DRUMS, 37), (1, DRUMS, 42))
    assert pitch_class_entropy(with_drums, 1) == pitch_class_entropy(notes, 1) == 0
    assert pitch_entropy(with_drums) == 0
    assert in_key(with_drums) == in_key(notes)


def test_the_key_of_a_piece_does_not_matter() -> None:
    notes = band(np.random.default_rng(0), 6)
    for by in (-3, 7):
        other = transposed(notes, by)
        assert in_key(other) == in_key(notes)
        assert pitch_entropy(other) == pytest.approx(pitch_entropy(notes))
        for window in (1, 4, None):
            assert pitch_class_entropy(other, 6, window=window) == pytest.approx(
                pitch_class_entropy(notes, 6, window=window)
            )


def test_without_notes_there_is_no_figure() -> None:
    for notes in (NO_NOTES, grid((0, DRUMS, 36))):
        assert math.isnan(pitch_class_entropy(notes, 4, window=1))
        assert math.isnan(pitch_class_entropy(notes, 4))
        assert math.isnan(pitch_entropy(notes))
        assert math.isnan(in_key(notes))
    assert math.isnan(pitch_class_entropy(grid((0, PIANO, 60)), 3, window=4))
    assert math.isnan(pitch_class_entropy(NO_NOTES, 0))
