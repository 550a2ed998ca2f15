"""Music of which each note says where it belongs, and when that must be heard."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Sequence
from fractions import Fraction

__all__ = ["DRUMS", "TRACKS", "Note", "Tempos", "bars_of", "coded", "dense", "long_pitch", "place"]

Note = tuple[int, int, int, int, int]
"""Tick (sixteenths), duration, channel from 0, pitch, velocity."""

DRUMS = 9
TRACKS = [
    {"name": "drums", "channel": DRUMS, "program": 0},
    {"name": "piano", "channel": 0, "program": 0},
    {"name": "guitar", "channel": 1, "program": 24},
    {"name": "bass", "channel": 2, "program": 33},
    {"name": "strings", "channel": 3, "program": 48},
]
BAR = 16
SHORT, LONG = 0, 3  # the channels of coded music
LOWEST, PITCHES, SOFTEST = 36, 60, 20
SPAN = 64  # ticks of a long note


class Tempos:
    """The seconds at ticks, exactly, of pairs of tick and microseconds per quarter."""

    def __init__(self, changes: Sequence[tuple[int, int]]) -> None:
        self.changes = list(changes)
        self._starts = [Fraction(0)]
        for (first, uspq), (last, _) in zip(self.changes, self.changes[1:], strict=False):
            self._starts.append(self._starts[-1] + Fraction((last - first) * uspq, 4_000_000))

    def seconds(self, tick: int | Fraction) -> Fraction:
        """Give the time of a tick."""
        index = max(0, bisect_right(self.changes, tick, key=lambda change: change[0]) - 1)
        first, uspq = self.changes[index]
        return self._starts[index] + Fraction(uspq, 4_000_000) * (tick - first)

    def tick(self, seconds: Fraction) -> Fraction:
        """Give the tick, with its fraction, at a time."""
        index = max(0, bisect_right(self._starts, seconds) - 1)
        first, uspq = self.changes[index]
        return first + (seconds - self._starts[index]) * 4_000_000 / uspq


def dense(bars: int, seed: int = 0) -> list[Note]:
    """Give an onset on each tick and all five tracks; no pitch is struck while it sounds, and none at the end."""
    dice = random.Random(seed)
    last = bars * BAR
    notes = []
    for tick in range(last):
        for number, track in enumerate(TRACKS):
            duration = min(dice.randint(1, 12), last - tick)
            pitch = 36 + 16 * number + tick % 16
            notes.append((tick, duration, int(str(track["channel"])), pitch, dice.randint(40, 110)))
    return notes


def coded(bars: int) -> list[Note]:
    """Give music in which a note of the piano says its tick, and a string that sounds for four bars says which four."""
    short = [(tick, 1, SHORT, LOWEST + tick % PITCHES, SOFTEST + tick // PITCHES) for tick in range(bars * BAR)]
    long = [(tick, SPAN, LONG, long_pitch(tick), 100) for tick in range(0, bars * BAR, SPAN)]
    return sorted(short + long)


def place(pitch: int, velocity: int) -> int:
    """Give the tick that a note of the coded piano says."""
    return (velocity - SOFTEST) * PITCHES + pitch - LOWEST


def long_pitch(tick: int) -> int:
    """Give the pitch of the coded string that sounds at a tick."""
    return 30 + tick // SPAN % 60


def bars_of(notes: Sequence[Note]) -> list[list[object]]:
    """Give notes by bars, as a player is fed."""
    found: dict[int, list[Note]] = {bar: [] for bar in range(max(note[0] for note in notes) // BAR + 1)}
    for note in notes:
        found[note[0] // BAR].append(note)
    return [[bar, those] for bar, those in found.items()]
