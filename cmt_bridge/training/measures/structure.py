"""How much of a piece repeats: the structureness indicator, from notes.

Half bars are compared by their pitch classes. What a segment explains by repeating is its fitness: Müller, Jiang &
Grohganz 2013, "A Robust Fitness Measure for Capturing Repetitions in Music Recordings With Applications to Audio
Thumbnailing". The highest fitness of segments of some length is the indicator: Wu & Yang 2020, section 5.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from cmt_bridge.composition.codec import Grid, GridNotes
from cmt_bridge.core.instruments import Instrument
from cmt_bridge.core.tempo import TICKS_PER_BAR

__all__ = ["RANGES", "chroma", "fitness", "similarity", "structureness"]

Floats = npt.NDArray[np.float64]

RANGES: Final = ((1.5, 4.0), (4.0, 7.5), (7.5, math.inf))
"""Lengths of segments in bars: the source's 3 to 8 s, 8 to 15 s and above 15 s, at 120 BPM."""

FRAMES_PER_BAR = 2  # a second at 120 BPM; the authors' code has two frames a second
FRAME = TICKS_PER_BAR // FRAMES_PER_BAR
PITCH_CLASSES = 12
SMOOTHING = 2  # frames before and after that must be alike too, in the same order
THRESHOLD = 0.9  # of similarity: less is no repetition
PENALTY = -2.0  # the source's delta for what is none
FINE_BARS = 128  # a piece that is longer is looked at in coarser steps


def structureness(notes: GridNotes, bars: int, low: float, high: float = math.inf) -> float:
    """Return the highest fitness (0..1) of segments of `low` to `high` bars; NaN where the piece has none such.

    Segments start on bar lines and are at most half the piece: a longer one could repeat at another tempo only. Lengths
    go by half bars up to 8, then by bars. Pieces of more than 128 bars are looked at in steps of 2 bars, of more than
    256 in steps of 3 and so on.
    """
    features = chroma(notes, bars)
    if not features.any():
        return math.nan
    step = -(-bars // FINE_BARS) * FRAMES_PER_BAR
    first, last = math.ceil(low * FRAMES_PER_BAR), int(min(high * FRAMES_PER_BAR, len(features) // 2))
    fine = 8 * FRAMES_PER_BAR
    lengths = sorted({*range(first, min(last, fine) + 1), *range(max(first, fine), last + 1, step)})
    matrix = similarity(features)
    return max((float(fitness(matrix, length, step).max()) for length in lengths), default=math.nan)


def chroma(notes: GridNotes, bars: int) -> Floats:
    """Return how many ticks each pitch class sounds in each half bar, shape (half bars, 12); drums are left out."""
    pitched = notes[notes[:, Grid.INSTRUMENT] != Instrument.DRUMS]
    ticks = bars * TICKS_PER_BAR
    begin = np.minimum(pitched[:, Grid.ONSET], ticks)
    end = np.minimum(pitched[:, Grid.ONSET] + np.maximum(1, pitched[:, Grid.DURATION]), ticks)
    change = np.zeros((ticks + 1, PITCH_CLASSES))
    np.add.at(change, (begin, pitched[:, Grid.PITCH] % PITCH_CLASSES), 1)
    np.add.at(change, (end, pitched[:, Grid.PITCH] % PITCH_CLASSES), -1)
    sounding: Floats = np.cumsum(change[:-1], axis=0).reshape(-1, FRAME, PITCH_CLASSES).sum(axis=1)
    return sounding


def similarity(features: Floats) -> Floats:
    """Return the self-similarity matrix of frames, 1 on its diagonal, 0..1 where they repeat and -2 elsewhere.

    The cosine is averaged along diagonals, so that frames are alike where those around them are alike in the same
    order, and its upper tenth is stretched over 0..1. Silence repeats nothing. Otherwise than in the authors' code the
    threshold is the same for every piece, instead of keeping the most similar quarter of each, so that music without
    repetition has none; and a transposed frame does not repeat another.
    """
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    unit = features / np.where(norms > 0, norms, 1)
    cosine = unit @ unit.T
    size = len(cosine)
    total, count = np.zeros((size, size)), np.zeros((size, size))
    for shift in range(-SMOOTHING, SMOOTHING + 1):
        here = slice(max(0, -shift), min(size, size - shift))
        there = slice(max(0, shift), min(size, size + shift))
        total[here, here] += cosine[there, there]
        count[here, here] += 1
    mean = total / np.maximum(count, 1)
    matrix = np.where(mean > THRESHOLD, np.minimum(1, (mean - THRESHOLD) / (1 - THRESHOLD)), PENALTY)
    np.fill_diagonal(matrix, 1)
    return matrix


def fitness(matrix: Floats, length: int, step: int = 1) -> Floats:
    """Return the fitness (0..1) of the segments of `length` frames that start on every `step`-th frame.

    A path pairs the segment's frames with those of a stretch of the piece, by steps of (1, 1), (2, 1) and (1, 2); a
    family of paths has stretches that do not overlap. Of the family with the highest score: its score per pair and its
    share of the piece, each less what the segment alone explains, and their harmonic mean. All segments are
    computed together, row by row of the matrix.
    """
    size = len(matrix)
    starts = np.arange(0, size - length + 1, step)
    columns = starts[:, None] + np.arange(length)
    # Per segment and frame of it, the best family that ends there: its score, its pairs, and the frames that it covers;
    # for a path that goes on, these are counted from 0 instead of from its start.
    nothing = np.full((3, len(starts), length), -np.inf)
    before, last = nothing, nothing
    done = np.zeros((3, len(starts)))
    for row in range(size):
        here = np.empty_like(nothing)
        here[:, :, 0] = done
        here[2, :, 0] -= row
        if length > 1:
            here[:, :, 1:] = last[:, :, :-1]
            _better(here[:, :, 1:], before[:, :, :-1])
            _better(here[:, :, 2:], last[:, :, :-2])
        here[0] += matrix[row, columns]
        here[1] += 1
        ended = here[:, :, -1].copy()
        ended[2] += row + 1
        _better(done, ended)
        before, last = last, here
    score, pairs, covered = done
    strength = np.maximum(0, score - length) / np.maximum(1, pairs)
    coverage = np.maximum(0, covered - length) / size
    both = strength + coverage
    harmonic: Floats = 2 * strength * coverage / np.where(both > 0, both, 1)
    return harmonic


def _better(best: Floats, other: Floats) -> None:
    """Take families of `other` into `best` where they score more; shape (3, ...), the score first."""
    np.copyto(best, other, where=other[0] > best[0])
