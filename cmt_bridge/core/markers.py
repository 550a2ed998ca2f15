"""Names of markers: how hits are called, and which of them a person means."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["hit_name", "is_called", "plain"]

DOT: Final = "·"
VERY_STRONG: Final = 6
"""Strength class of a visual beat, of 4 to 10 for those that have a marker: a weight of 0.96."""
JOINS: Final = re.compile(rf"\s*[{DOT}-]\s*|\s+")


def hit_name(number: int, strength: int) -> str:
    """Return the name of a hit, by its number in the film from 1 and its strength class.

    >>> hit_name(3, 4), hit_name(12, 8)
    ('Hit 3 · strong', 'Hit 12 · very strong')
    """
    return f"Hit {number} {DOT} {'very strong' if strength >= VERY_STRONG else 'strong'}"


def plain(name: str) -> str:
    """Return a name for those who read ASCII only, as far as it is ours."""
    return name.replace(DOT, "-")


def is_called(name: str, said: str) -> bool:
    """Return whether a marker is meant by all of its name or by what stands before the dot: `hit 3` and not Hit 30.

    >>> [is_called("Hit 3 · strong", said) for said in ("hit 3", "Hit 3 - strong", "Hit 30")]
    [True, True, False]
    """
    wanted = _simple(said)
    return wanted in (_simple(name), _simple(name.partition(f" {DOT} ")[0]))


def _simple(name: str) -> str:
    return JOINS.sub(" ", name.strip()).casefold()
