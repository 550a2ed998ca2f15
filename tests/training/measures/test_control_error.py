import numpy as np
import pytest

from cmt_bridge.core.control import ControlBeat, ControlTrack
from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.training.measures.control_error import ControlErrors, control_errors, mean_errors, steadiest

# Two bars of music and one of the last chord; the picture ends with the third bar.
CONTROL = ControlTrack(TempoMap.constant(120), (2, 1, 5), (ControlBeat(4, 3), ControlBeat(16, 1)), 48)
NOTES = np.array(
    [
        [0, 2, 60, 4, 80],
        [4, 2, 60, 4, 80],
        [4, 2, 64, 4, 80],
        [4, 1, 36, 1, 80],
        [16, 4, 33, 8, 80],
        [32, 2, 60, 12, 80],
    ]
)


def test_errors_are_those_counted_by_hand() -> None:
    """Densities are 2 and 1, as asked; the first beat has two notes of one instrument for three; the end is 4 early."""
    errors = control_errors(NOTES, CONTROL)
    assert errors.density == 0
    assert errors.strength == pytest.approx((1 / 1.83 + 0) / 2)
    assert errors.time == pytest.approx(4 / 48)
    assert (errors.bars, errors.beats) == (2, 2)


def test_an_onset_too_many_is_an_error_of_density() -> None:
    more = np.concatenate([NOTES, [[20, 3, 50, 1, 80]]])
    assert control_errors(more, CONTROL).density == pytest.approx(1 / 10.90 / 2)


def test_silence_misses_everything() -> None:
    errors = control_errors(NOTES[:0], CONTROL)
    assert errors.density == pytest.approx(1.5 / 10.90)
    assert errors.strength == pytest.approx(2 / 1.83)
    assert errors.time == 1


def test_means_count_bars_and_beats_alike() -> None:
    one, other = ControlErrors(0.2, 0.4, 0.0, bars=1, beats=3), ControlErrors(0.5, 0.0, 0.1, bars=2, beats=1)
    mean = mean_errors([one, other])
    assert mean.density == pytest.approx(0.4)
    assert mean.strength == pytest.approx(0.3)
    assert mean.time == pytest.approx(0.05)
    assert mean_errors([]) == ControlErrors(0, 0, 0)


def test_the_steadiest_rhythm_obeys_and_repeats_what_it_can() -> None:
    """Three bars of two onsets, one with a hit on tick 5: the others can share both of theirs."""
    control = ControlTrack(TempoMap.constant(120), (2, 2, 2, 5), (ControlBeat(16 + 5, 3),), 64)
    notes = steadiest(control)
    bars = [notes[notes[:, 0] // 16 == bar, 0] % 16 for bar in range(3)]
    assert [len(bar) for bar in bars] == [2, 2, 2]
    assert 5 in bars[1]
    assert set(bars[0]) == set(bars[2])
    assert 5 in bars[0]  # the best that the others can do is to take the hit as well
    assert control_errors(notes, control).density == 0
