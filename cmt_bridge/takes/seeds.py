"""Seeds that no take was made with yet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cmt_bridge.takes.take import Take

__all__ = ["next_seed", "unused"]


def next_seed(takes: Sequence[Take], count: int = 1, key: str = "") -> int:
    """Return the first of `count` seeds in a row that no take of a project was scored with.

    A request that was begun before, which its `key` tells, goes on with the seeds it had.
    """
    scored = [take for take in takes if take.info.verb != "regenerate"]
    begun = [take.info.seed for take in scored if key and take.info.key == key]
    return min(begun) if begun else unused((take.info.seed for take in scored), count)


def unused(used: Iterable[int], count: int = 1) -> int:
    """Return the first of `count` seeds in a row that are not among those that are used.

    >>> unused([0, 1, 3]), unused([0, 1, 3], count=2)
    (2, 4)
    """
    first = 0
    for seed in sorted(set(used)):
        if first <= seed < first + count:
            first = seed + 1
    return first
