from __future__ import annotations

import math

import numpy as np

from cmt_bridge.composition import codec
from cmt_bridge.composition.match import Rhythm, match, rhythm_of_rows, rhythm_of_video
from cmt_bridge.core.control import ControlBeat, ControlTrack
from cmt_bridge.core.tempo import TempoMap

# onset, instrument, pitch, duration, velocity
NOTES = np.array(
    [
        [0, 1, 36, 1, 80],
        [0, 2, 60, 4, 80],
        [0, 2, 64, 4, 80],
        [0, 2, 67, 4, 80],
        [0, 4, 40, 4, 80],
        [6, 4, 43, 2, 80],
        [20, 1, 38, 1, 80],
        [20, 1, 42, 1, 80],
    ]
)


def control(density: tuple[int, ...], *beats: tuple[int, int]) -> ControlTrack:
    return ControlTrack(TempoMap.constant(120), density, tuple(ControlBeat(*b) for b in beats), len(density) * 16)


def test_the_rhythm_of_a_song() -> None:
    rhythm = rhythm_of_rows(codec.encode(NOTES, 2))
    assert rhythm.density.tolist() == [2, 1]
    assert np.argwhere(rhythm.strength).tolist() == [[0, 0], [0, 6], [1, 4]]
    assert rhythm.strength[rhythm.strength > 0].tolist() == [3, 1, 2]  # on tick 0 the piano's chord is the largest


def test_the_order_of_tracks_does_not_matter() -> None:
    order = np.lexsort((-NOTES[:, 1], NOTES[:, 0]))
    one, other = (rhythm_of_rows(codec.encode(notes, 2)) for notes in (NOTES, NOTES[order]))
    assert (one.strength == other.strength).all()


def test_equation_16_by_hand() -> None:
    video = rhythm_of_video(control((4, 1), (0, 5), (8, 2), (20, 2)))
    result = match(rhythm_of_rows(codec.encode(NOTES, 2)), video)
    density = ((4 - 2) ** 2 + 0) / 2
    strength = ((5 - 3) ** 2 + (2 - 0) ** 2 + (2 - 2) ** 2) / 32  # what sounds at no visual beat counts nothing
    assert result.distance == density + strength
    assert result.matchness == 1 / result.distance


def test_a_perfect_match_is_infinite_and_not_an_error() -> None:
    result = match(rhythm_of_rows(codec.encode(NOTES, 2)), rhythm_of_video(control((2, 1), (0, 3), (20, 2))))
    assert result.distance == 0
    assert result.matchness == math.inf


def test_only_common_bars_count() -> None:
    music = rhythm_of_rows(codec.encode(NOTES, 2))
    assert match(music, rhythm_of_video(control((2,), (0, 3)))).bars == 1
    assert match(music, rhythm_of_video(control((2, 1, 16, 16), (40, 9)))).distance == 0
    nothing = Rhythm(np.zeros(0, np.int64), np.zeros((0, 16), np.int64))
    assert match(nothing, rhythm_of_video(control((2,)))).distance == math.inf
