"""The time of Ardour 7: ticks of a quarter, superclocks of a second, timecode; its tempo map, written and read.

Ardour trusts what a tempo map states of each tempo: from which superclock and from which tick on it holds. It counts a
tempo in whole superclocks per quarter, so bar lines may be off by a fraction of a sample in a piece of hours.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from fractions import Fraction
from math import expm1
from typing import Final
from xml.etree.ElementTree import Element

from cmt_bridge.core.timecode import LABELLED, Counting, Timecode
from cmt_bridge.errors import InputError
from cmt_bridge.projects.arrangement import Version

__all__ = ["AGAIN", "COUNTED", "SUPERCLOCKS", "TICKS", "OurTime", "TheirTime", "ardour_ticks", "timecode_of"]

TICKS: Final = 1920
"""Of a quarter."""

SUPERCLOCKS: Final = 282_240_000
"""Of a second: all usual sample and frame rates divide it."""

MICROSECONDS: Final = 1_000_000
AGAIN = "Open it in Ardour 7 and save it, then try again."


NAMES: Final[dict[tuple[Fraction, bool], str]] = {
    (Fraction(24000, 1001), False): "timecode_23976",
    (Fraction(24), False): "timecode_24",
    (Fraction(25), False): "timecode_25",
    (Fraction(30000, 1001), True): "timecode_2997drop",
    (Fraction(30000, 1001), False): "timecode_2997",
    (Fraction(30), False): "timecode_30",
    (Fraction(60000, 1001), False): "timecode_5994",
    (Fraction(60), False): "timecode_60",
}
"""Of rates, with drop frame or without."""

COUNTED: Final = tuple(rate for rate in LABELLED if (rate.frames, rate.drop > 0) in NAMES)
"""The rates that Ardour has."""


def ardour_ticks(version: Version, tick: int) -> int:
    """Return Ardour's tick nearest to a file tick of a version."""
    return round(Fraction(tick * TICKS, version.division))


@dataclass(frozen=True, slots=True)
class _Metre:
    """A metre from a tick of Ardour's on, at which bar `bar`, from 1, begins."""

    tick: int
    numerator: int
    denominator: int
    bar: int

    @property
    def beat(self) -> int:
        return 4 * TICKS // self.denominator

    def bbt(self, ticks: int) -> str:
        """Return a place as bar, beat and ticks."""
        bars, rest = divmod(ticks - self.tick, self.numerator * self.beat)
        beats, left = divmod(rest, self.beat)
        return f"{self.bar + bars}|{beats + 1}|{left}"


def _metres(version: Version) -> list[_Metre]:
    """Return metres that begin with a bar each, as Ardour's have to.

    A bar that is cut short by the next metre has one of its own, of the fewest beats that last so long. Where those
    would be shorter than a 128th, the next metre begins with that bar.
    """
    found: list[_Metre] = []
    for tick, numerator, denominator in version.metres:
        begin = start = ardour_ticks(version, tick)
        bar = 1
        if found:
            last = found[-1]
            bars, rest = divmod(begin - last.tick, last.numerator * last.beat)
            start, bar = begin - rest, last.bar + bars
            if start == last.tick:
                found.pop()  # it has no whole bar
            finest = next((each for each in (4, 8, 16, 32, 64, 128) if not rest * each % (4 * TICKS)), 0)
            if rest and finest:
                found.append(_Metre(start, rest * finest // (4 * TICKS), finest, bar))
                start, bar = begin, bar + 1
        found.append(_Metre(start, numerator, denominator, bar))
    return found


class OurTime:
    """Reckon as Ardour does: in whole superclocks per quarter, and in bars of the metres."""

    def __init__(self, version: Version) -> None:
        self._version = version
        self.metres = _metres(version)

    def at(self, ticks: int) -> dict[str, str]:
        """Return a place as the tempo map states it: superclocks, quarters and ticks, bar, beat and ticks."""
        metre = self.metres[bisect_right(self.metres, ticks, key=lambda each: each.tick) - 1]
        quarters, rest = divmod(ticks, TICKS)
        return {
            "sclock": str(self._superclocks(ticks)),
            "quarters": f"{quarters}:{rest}",
            "bbt": metre.bbt(ticks),
        }

    def _superclocks(self, ticks: int) -> int:
        passed, last, per_quarter = 0, 0, 0
        for tick, uspq in self._version.tempos:
            start = ardour_ticks(self._version, tick)
            if start > ticks:
                break
            passed += round(Fraction((start - last) * per_quarter, TICKS))
            last, per_quarter = start, round(Fraction(SUPERCLOCKS * uspq, MICROSECONDS))
        return passed + round(Fraction((ticks - last) * per_quarter, TICKS))


@dataclass(frozen=True, slots=True)
class _Point:
    """Where a tempo begins, superclocks a quarter there, and how these change: the exponent of Ardour's ramps."""

    clock: int
    tick: int
    quarter: Fraction
    omega: float


class TheirTime:
    """The tempo map of a session that is there: ticks of its seconds."""

    def __init__(self, tempo_map: Element) -> None:
        try:
            self.second = int(tempo_map.get("superclocks-per-second", SUPERCLOCKS))
            tempos = [*tempo_map.iterfind("Tempos/Tempo"), *tempo_map.iterfind("MusicTimes/*[@npm]")]
            points = sorted((self._point(tempo) for tempo in tempos), key=lambda point: (point.clock, point.tick))
        except (ValueError, ArithmeticError) as error:
            raise InputError("The session's tempos cannot be read.", hint=AGAIN) from error
        if not points:
            raise InputError("The session has no tempo.", hint=AGAIN)
        self._points = points

    def _point(self, tempo: Element) -> _Point:
        quarters, _, rest = tempo.get("quarters", "0:0").partition(":")
        note = round(Fraction(self.second * 60) / Fraction(tempo.get("npm", "120")))  # Ardour counts whole ones
        return _Point(
            int(tempo.get("sclock", "0")),
            int(quarters) * TICKS + int(rest or 0),
            Fraction(note * int(tempo.get("note-type", "4")), 4),
            float(tempo.get("omega", "0")),
        )

    def ticks(self, seconds: Fraction) -> Fraction:
        """Return the ticks at a time: exact where the tempo holds, as near as Ardour reckons where it glides."""
        clock = seconds * self.second
        point = self._points[max(0, bisect_right(self._points, clock, key=lambda each: Fraction(each.clock)) - 1)]
        past = clock - point.clock
        if not point.omega:
            return point.tick + past * TICKS / point.quarter
        quarters = expm1(point.omega * float(past)) / (point.omega * float(point.quarter))
        return point.tick + Fraction(quarters) * TICKS


def timecode_of(counting: Counting) -> tuple[str, Timecode]:
    """Return Ardour's name of the rate in which a film counts there, and the label of the first picture.

    Ardour has neither 48 nor 50 frames a second, and no drop frame but at 29.97: such a film counts every second one.
    """
    start = counting.fitted(COUNTED).start
    return NAMES[start.rate.frames, start.rate.drop > 0], start
