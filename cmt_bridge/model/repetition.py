"""Repetition bias: bars that follow the picture are biased towards what was played before.

A picture asks for another density in every bar and for notes off the beat. A network that obeys meets bars that its
music never had, grows unsure, and wanders: groove and repetition go, which is what control costs the paper's network
(its Table 1). So where the picture decides a bar, the ticks on which the bars before it began notes are made more
likely, and so is what the same instrument played in the bar whose harmony returns (core/form.py). Bars left to the
network are not touched.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from cmt_bridge.core.instruments import Instrument
from cmt_bridge.core.tempo import TICKS_PER_BAR
from cmt_bridge.core.tokens import CLASSES, Column
from cmt_bridge.model.decoding_state import DecodingState, PlayedNote

__all__ = ["RepetitionBias"]

Bias = npt.NDArray[np.float64]
"""Shape (classes of the column): what is added to the logits."""

HALF = TICKS_PER_BAR // 2  # harmony changes by half bars
ONSET, PITCH, INSTRUMENT = 16.0, 5.0, 1.5
"""Nats for an onset that all bars before have, a pitch and an instrument that the returning bar had."""

REMEMBERED = 64  # answers: they are the same all through a bar, for each of some candidates


class RepetitionBias:
    """Bias logits towards the past, `strength` times as much as was found to keep groove and structure; 0 does
    nothing.
    """

    def __init__(self, strength: float) -> None:
        self.strength = strength

    def bias(self, column: Column, cursor: DecodingState) -> Bias | None:
        """Return what to add to a column's logits; None for nothing."""
        if not self.strength or not cursor.past or not cursor.follows:
            return None
        if column is Column.BEAT:
            return self.strength * ONSET * _onsets(cursor.past)
        if not cursor.returns or len(cursor.past) < cursor.returns:
            return None
        half = cursor.tick // HALF
        returning = cursor.past[-cursor.returns]
        if column is Column.INSTRUMENT:
            return self.strength * INSTRUMENT * _players(returning, half)
        if column is Column.PITCH and cursor.instrument != Instrument.DRUMS:
            return self.strength * PITCH * _pitches(returning, half, cursor.instrument)
        return None


@lru_cache(REMEMBERED)
def _onsets(past: tuple[frozenset[PlayedNote], ...]) -> Bias:
    """Give, for every class of the beat column, the share of the bars before that have an onset there."""
    shares = np.zeros(CLASSES[Column.BEAT])
    for bar in past:
        shares[[tick + 1 for tick in {tick for tick, _, _ in bar}]] += 1 / len(past)
    return shares


@lru_cache(REMEMBERED)
def _players(bar: frozenset[PlayedNote], half: int) -> Bias:
    """Return 1 for the instruments that play in a half of a bar, by the classes of the instrument column."""
    played = np.zeros(CLASSES[Column.INSTRUMENT])
    played[list({instrument for tick, instrument, _ in bar if tick // HALF == half})] = 1.0
    return played


@lru_cache(REMEMBERED)
def _pitches(bar: frozenset[PlayedNote], half: int, instrument: int) -> Bias:
    """Return 1 for the pitches that an instrument plays in a half of a bar, by the classes of the pitch column."""
    played = np.zeros(CLASSES[Column.PITCH])
    played[[pitch + 1 for tick, player, pitch in bar if tick // HALF == half and player == instrument]] = 1.0
    return played
