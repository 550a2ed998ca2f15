"""Numbers that stand for passages of music: 64 bits, all arithmetic modulo 2**64.

A passage's number is the sum of its notes' numbers, each times a power that tells its place. So the number of any
stretch is the difference of two sums, divided by the power of its start. Equal passages have equal numbers. Different
ones do by chance only: below 2**-40 a pair, though differences of odd powers are even and cost some of the 64 bits.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["Numbers", "finalized", "inverse", "mixed", "occurs", "powers", "sums"]

Numbers = npt.NDArray[np.uint64]

FILTER_BITS = 20


def mixed(values: npt.ArrayLike) -> Numbers:
    """Spread whole numbers over 64 bits: the generator SplitMix64 of Steele, Lea & Flood 2014."""
    return finalized(np.asarray(values).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))


def finalized(numbers: Numbers) -> Numbers:
    """Let every bit of numbers depend on all others: the last part of SplitMix64."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))


def powers(base: int, count: int) -> Numbers:
    """Return the powers 0 to `count` - 1 of a base."""
    factors = np.full(count, base, np.uint64)
    factors[:1] = 1
    return np.cumprod(factors, dtype=np.uint64)


def inverse(base: int) -> int:
    """Return what an odd base times it is 1."""
    return pow(base, -1, 2**64)


def sums(numbers: Numbers) -> Numbers:
    """Return the sums before each number and after the last, shape (numbers + 1,)."""
    total = np.zeros(len(numbers) + 1, np.uint64)
    np.cumsum(numbers, out=total[1:])
    return total


def occurs(numbers: Numbers, among: Numbers) -> npt.NDArray[np.int64]:
    """Return the places of `numbers` that are `among` others; quick where these are few."""
    if not len(among):
        return np.empty(0, np.int64)
    among = np.sort(among)
    shift = np.uint64(64 - FILTER_BITS)
    likely = np.zeros(1 << FILTER_BITS, np.bool_)  # by their first bits
    likely[among >> shift] = True
    places = np.flatnonzero(likely[numbers >> shift])
    nearest = np.minimum(np.searchsorted(among, numbers[places]), len(among) - 1)
    found: npt.NDArray[np.int64] = places[among[nearest] == numbers[places]]
    return found
