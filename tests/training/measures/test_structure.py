import math

import numpy as np
import numpy.typing as npt
import pytest

from cmt_bridge.composition.codec import GridNotes
from cmt_bridge.core.instruments import Instrument
from cmt_bridge.training.measures.structure import RANGES, chroma, fitness, similarity, structureness
from tests.training.measures.notes import NO_NOTES, band, chain, grid, transposed

PIANO = Instrument.PIANO


def frames(*numbers: int) -> GridNotes:
    """Give a piece in whose half bars two pitch classes sound, another pair for each number; 66 pairs exist."""
    pairs = [(a, b) for a in range(12) for b in range(a + 1, 12)]
    return grid(*((8 * i, PIANO, 60 + pitch, 8) for i, number in enumerate(numbers) for pitch in pairs[number]))


def section(first: int, bars: int) -> tuple[GridNotes, int]:
    return frames(*range(first, first + 2 * bars)), bars


def matrix_of(text: str) -> npt.NDArray[np.float64]:
    """Give the self-similarity of frames that are equal or nothing to each other."""
    return np.where(np.equal.outer(list(text), list(text)), 1.0, -2.0)


def test_a_segment_that_repeats_once() -> None:
    # ABCDABCD: both paths score 4, so (8 - 4) / 8 per pair beyond the segment itself, and (8 - 4) / 8 of the piece.
    assert fitness(matrix_of("abcdabcd"), 4)[0] == pytest.approx(0.5)
    # Segment AB: (4 - 2) / 4 per pair, and (4 - 2) / 8 of the piece; 2 (1/2 1/4) / (3/4).
    assert fitness(matrix_of("abcdabcd"), 2)[0] == pytest.approx(1 / 3)


def test_a_segment_that_repeats_three_times() -> None:
    # Per pair and of the piece (8 - 2) / 8.
    assert fitness(matrix_of("abababab"), 2)[0] == pytest.approx(0.75)
    # AB in ABxxABxxAB: (6 - 2) / 6 and (6 - 2) / 10.
    assert fitness(matrix_of("abcdabefab"), 2)[0] == pytest.approx(2 * (4 / 6) * (4 / 10) / (4 / 6 + 4 / 10))


def test_what_does_not_repeat_explains_nothing() -> None:
    for length in (1, 2, 4, 8):
        assert not fitness(matrix_of("abcdefgh"), length).any()
    # Of the starts 0, 2, 4 and 6 only those of AB have an equal.
    assert (fitness(matrix_of("abcdabef"), 2, 2) > 0).tolist() == [True, False, True, False]


def test_a_gap_in_a_path_costs_its_penalty() -> None:
    # ABCD and ABxD score 4 and 3 - 2 = 1: (5 - 4) / 8 per pair and (8 - 4) / 8 of the piece.
    strength, coverage = 1 / 8, 4 / 8
    assert fitness(matrix_of("abcdabxd"), 4)[0] == pytest.approx(2 * strength * coverage / (strength + coverage))


def test_a_path_may_be_slower_or_faster() -> None:
    # ABCD and, slower, AxBxCxD: steps (2, 1) skip every other row; 4 pairs more score 4, and 7 rows more are covered.
    slow = matrix_of("abcdaxbxcxd")
    strength, coverage = 4 / 8, 7 / 11
    assert fitness(slow, 4)[0] == pytest.approx(2 * strength * coverage / (strength + coverage))
    # ABCDE and, faster, ACE: steps (1, 2) skip columns; 3 pairs more.
    strength, coverage = 3 / 8, 3 / 8
    assert fitness(matrix_of("abcdeace"), 5)[0] == pytest.approx(2 * strength * coverage / (strength + coverage))


def test_chroma_adds_up_what_sounds() -> None:
    notes = grid((6, PIANO, 60, 4), (0, PIANO, 76, 1), (14, PIANO, 62, 16), (0, Instrument.DRUMS, 37, 16))
    sounding = chroma(notes, 1)  # two half bars; what sounds after the last bar is left out
    expected = np.zeros((2, 12))
    expected[0, [0, 4]] = 2, 1
    expected[1, [0, 2]] = 2, 2
    assert (sounding == expected).all()


def test_similar_frames_are_alike_where_those_around_them_are() -> None:
    alike = similarity(chroma(*chain([section(0, 4), section(0, 4)])))
    assert (np.diag(alike) == 1).all()
    assert np.allclose(np.diag(alike, 8), 1)
    assert alike.min() == -2
    # One equal half bar among others, with two different ones on both sides, is chance.
    once = similarity(chroma(frames(0, 1, 2, 3, 4, 20, 21, 2, 22, 23), 5))
    assert once[2, 7] == -2


def test_a_section_twice() -> None:
    piece = chain([section(0, 8), section(0, 8)])
    # A segment of m bars repeats once: 1/2 per pair, m / 16 of the piece; 2 (1/2 m/16) / (1/2 + m/16) = m / (8 + m).
    # The longest segment is the section.
    found = [structureness(*piece, *lengths) for lengths in RANGES]
    assert found == pytest.approx([m / (8 + m) for m in (4, 7.5, 8)])


def test_two_sections_in_turn() -> None:
    a, b = section(0, 4), section(20, 4)
    found = [structureness(*chain([a, b, a, b]), *lengths) for lengths in RANGES]
    # A: 1/2 of its pairs and 4 of 16 bars. AB, the longest segment: a half and a half.
    assert found == pytest.approx([1 / 3, 7.5 / 15.5, 0.5])


def test_one_section_four_times() -> None:
    # A: (16 - 4) / 16 of pairs and of bars. AA: a half and a half.
    found = [structureness(*chain([section(0, 4)] * 4), *lengths) for lengths in RANGES]
    assert found[0] == pytest.approx(0.75)
    assert found[2] == pytest.approx(0.5)


def test_a_piece_without_repetition() -> None:
    assert [structureness(*section(0, 16), *lengths) for lengths in RANGES] == [0, 0, 0]


def test_the_key_of_a_piece_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    part = band(rng, 4), 4
    notes, bars = chain([part, (band(rng, 4), 4), part])
    for lengths in RANGES[:2]:
        value = structureness(notes, bars, *lengths)
        assert 0 < value < 1
        assert structureness(transposed(notes, 5), bars, *lengths) == pytest.approx(value)


def test_where_there_is_no_segment_there_is_no_figure() -> None:
    assert math.isnan(structureness(NO_NOTES, 20, 1.5, 4))
    assert math.isnan(structureness(grid((0, Instrument.DRUMS, 36)), 20, 1.5, 4))
    assert math.isnan(structureness(frames(0, 1), 1, 1.5, 4))
    assert math.isnan(structureness(*section(0, 8), 7.5))
    assert math.isnan(structureness(NO_NOTES, 0, 1.5, 4))


def test_a_long_piece_is_looked_at_in_coarser_steps() -> None:
    piece = chain([section(0, 10)] * 14)
    assert structureness(*piece, 7.5) == pytest.approx(13 / 14)  # the section: 13 of 14 of pairs and of bars
