"""The form of a piece: its sections, and which bars take up the harmony of which."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import numpy as np

__all__ = ["LONGEST_RETURN", "NEW", "PHRASE", "returns", "sections"]

PHRASE = 4  # bars
LEAST_BARS = PHRASE
CHANGE = 3.0  # densities by which the next bars differ from a section for a new one to begin
CALM, LIVELY = 4.0, 9.0  # densities

NEW = 0
"""Instead of how many bars ago a bar's harmony was heard: it was not."""

ROUND = (4, 4, NEW, 8)
"""Bars back, of the four phrases of a round, A A B A; a later round comes after an A, four bars back as well."""

LATER_B = 16  # bars back, of the B of a later round
LONGEST_RETURN = LATER_B


def returns(bars: int) -> list[int | None]:
    """Give, for every bar of a piece, how many bars ago its harmony was heard: `NEW` for not yet, None for left open.

    Phrases go A A B A, again and again, the commonest form of a song; where a round would be cut short by the end of
    the piece, A goes on instead, so that no B is left without its return. The first phrase is left open: nothing could
    return in it. Sections of the picture do not come into it: they change how much is played, not over what.
    """
    found: list[int | None] = []
    for phrase in range(-(-bars // PHRASE)):
        number, place = divmod(phrase, len(ROUND))
        whole = (number + 1) * len(ROUND) * PHRASE <= bars
        back: int | None = ROUND[place] if whole else PHRASE
        if back == NEW and number:
            back = LATER_B
        found += [back if phrase else None] * PHRASE
    return found[:bars]


def sections(density: Sequence[int]) -> list[tuple[int, str]]:
    """Return the first bar (from 0) and the name of every section of bars with these densities.

    A section lasts four bars or more; a new one begins where the following four bars move clearly more or less than it
    does on average. Names say which it is and how it moves: `A (calm)`, `B (lively)`.
    """
    starts = [0]
    for bar in range(LEAST_BARS, len(density) - LEAST_BARS + 1):
        change = _change(density, starts[-1], bar)
        clearest = change >= _change(density, starts[-1], bar + 1)
        if bar - starts[-1] >= LEAST_BARS and change >= CHANGE and clearest:
            starts.append(bar)
    ends = [*starts[1:], len(density)]
    spans = zip(starts, ends, count(), strict=False)
    return [(a, f"{_letter(n)} ({_manner(float(np.mean(density[a:b])))})") for a, b, n in spans]


def _change(density: Sequence[int], start: int, bar: int) -> float:
    """Return how much the four bars from `bar` on differ from those since `start`; 0 where there are no four."""
    if bar + LEAST_BARS > len(density):
        return 0.0
    return float(abs(np.mean(density[bar : bar + LEAST_BARS]) - np.mean(density[start:bar])))


def _letter(number: int) -> str:
    return chr(ord("A") + number % 26) + (str(number // 26 + 1) if number >= 26 else "")


def _manner(density: float) -> str:
    if density <= CALM:
        return "calm"
    return "lively" if density >= LIVELY else "moving"
