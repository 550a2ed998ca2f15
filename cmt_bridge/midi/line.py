"""The line of a file's time: tempos, metres and markers, and when its ticks are."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Final

from cmt_bridge.core.paths import takes_paths
from cmt_bridge.midi.events import MARKER, SET_TEMPO, TIME_SIGNATURE
from cmt_bridge.midi.file import MidiFile, read_midi
from cmt_bridge.midi.text import text_of

__all__ = ["DEFAULT_USPQ", "Line", "markers_of", "metres_of", "read_markers", "tempos_of"]

DEFAULT_USPQ: Final = 500_000  # a file that states no tempo is played at 120 BPM
MICROSECONDS = 1_000_000


def tempos_of(file: MidiFile) -> tuple[tuple[int, int], ...]:
    """Return the tempos as (file tick, microseconds per quarter), in order; a tempo of nothing is none."""
    metas = [(tick, values[:3]) for track in file.tracks for tick, _, values in track.metas(SET_TEMPO)]
    return tuple((tick, int.from_bytes(uspq)) for tick, uspq in sorted(metas, key=lambda each: each[0]) if any(uspq))


def metres_of(file: MidiFile) -> tuple[tuple[int, int, int], ...]:
    """Return the time signatures as (file tick, numerator, denominator), in order."""
    metas = [(tick, values) for track in file.tracks for tick, _, values in track.metas(TIME_SIGNATURE)]
    return tuple((tick, values[0], 1 << values[1]) for tick, values in sorted(metas, key=lambda each: each[0]))


def markers_of(file: MidiFile) -> tuple[tuple[int, str], ...]:
    """Return the markers (FF 06) as (file tick, text), in order."""
    return tuple(sorted((tick, text_of(values)) for track in file.tracks for tick, _, values in track.metas(MARKER)))


@takes_paths
def read_markers(path: Path) -> tuple[tuple[int, str], ...]:
    """Read the markers of a MIDI file, as `markers_of` gives them. Raises `MidiError` as `read_midi` does."""
    return markers_of(read_midi(path))


@dataclass(frozen=True)
class Line:
    """When the ticks of a file are: `tempos` are (file tick, microseconds per quarter), from tick 0 on."""

    division: int
    tempos: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, division: int, tempos: Sequence[tuple[int, int]]) -> Line:
        """Return the line of tempos in order, of which the last of a tick holds; 120 BPM until the first."""
        return cls(division, tuple(sorted({0: DEFAULT_USPQ, **dict(tempos)}.items())))

    @cached_property
    def _ticks(self) -> tuple[int, ...]:
        return tuple(tick for tick, _ in self.tempos)

    @cached_property
    def _starts(self) -> tuple[Fraction, ...]:
        passed = [0]  # microseconds times ticks per quarter
        for (tick, uspq), (after, _) in pairwise(self.tempos):
            passed.append(passed[-1] + (after - tick) * uspq)
        return tuple(Fraction(each, MICROSECONDS * self.division) for each in passed)

    def _tick_seconds(self, uspq: int) -> Fraction:
        return Fraction(uspq, MICROSECONDS * self.division)

    def seconds(self, tick: int | Fraction) -> Fraction:
        """Return the exact time in seconds of a file tick."""
        index = max(0, bisect_right(self._ticks, tick) - 1)
        first, uspq = self.tempos[index]
        return self._starts[index] + (Fraction(tick) - first) * self._tick_seconds(uspq)

    def ticks(self, seconds: float | Fraction) -> Fraction:
        """Return the exact position in file ticks of a time in seconds."""
        index = max(0, bisect_right(self._starts, seconds) - 1)
        first, uspq = self.tempos[index]
        return first + (Fraction(seconds) - self._starts[index]) / self._tick_seconds(uspq)
