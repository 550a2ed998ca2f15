"""Timecode: in which labels a film counts; labels, frames and seconds, exact, with drop frame where it is.

One rule says in which timecode a film counts: at the nominal rate of its stream where that is one of the usual ones,
at a usual one that it is a part or a multiple of (12.5 frames a second count in 25, two labels a picture), else at the
nearest. Labels with `;` before the frame drop some at 29.97 and its multiples, and those with `:` do not. Where no
label says which, they drop.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

from cmt_bridge.errors import UsageError

__all__ = [
    "HINT",
    "LABELLED",
    "MIDI",
    "RATE_NAMES",
    "UNKNOWN",
    "USUAL",
    "Counting",
    "Rate",
    "Timecode",
    "counted",
    "counting_of",
    "fitted",
    "is_label",
    "is_rate",
    "named_rate",
    "read_label",
]

MINUTE, HOUR = 60, 3600  # seconds
TENTH: Final = 10  # minute, that drops no label
HOURS: Final = 24
SLOWED: Final = Fraction(1000, 1001)
NEAR: Final = Fraction(4, 10_000)  # 29.97 and 30 are 0.001 apart
MEANT: Final = Fraction(5, 10_000)  # 23.98 is often written
MOST_FACTOR: Final = 5
MOST_RATE: Final = Fraction(100_000)  # frames a second, and seconds a frame
NUMBER: Final = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)(?:/(\d{1,6}))?")
LABEL: Final = re.compile(r"(\d?\d):(\d\d):(\d\d)(?:([:;.,])(\d\d\d?))?")
HINT: Final = "Write hours:minutes:seconds:frames, such as 01:00:00:00, or 01:00:00;00 in drop frame."
"""How a label is written."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How frames are counted: `frames` of a second, `base` labels of a second, `drop` labels that each minute but every
    tenth leaves out."""

    frames: Fraction
    base: int
    drop: int = 0

    @property
    def name(self) -> str:
        """How people write it."""
        number = f"{float(self.frames):.3f}".rstrip("0").rstrip(".")
        return f"{number} drop" if self.drop else number

    @property
    def can_drop(self) -> bool:
        """Whether there is drop frame at this rate: at 29.97 and its multiples."""
        return self.frames.denominator != 1 and self.base % 30 == 0

    @property
    def day(self) -> int:
        """The number of frames after which labels begin anew."""
        return HOURS * self._hour

    @property
    def _minute(self) -> int:
        return MINUTE * self.base - self.drop

    @property
    def _tenth(self) -> int:
        return TENTH * self._minute + self.drop

    @property
    def _hour(self) -> int:
        return 6 * self._tenth

    def counting(self, *, drops: bool) -> Rate:
        """Return this rate with drop frame, where there is any, or without."""
        return Rate(self.frames, self.base, self.base // 15 if drops and self.can_drop else 0)

    def number(self, seconds: float | Fraction) -> int:
        """Return the number of the frame nearest to a time, from 0."""
        return round(Fraction(seconds) * self.frames)

    def label(self, count: int) -> Timecode:
        """Return the label of a count of frames since 00:00:00:00, which begins anew with each day."""
        tenths, rest = divmod(count % self.day, self._tenth)
        if self.drop:
            rest += self.drop * (max(0, rest - self.drop) // self._minute)
        seconds, frame = divmod(rest, self.base)
        hours, minutes = divmod(tenths * TENTH + seconds // MINUTE, 60)
        return Timecode(self, hours, minutes, seconds % MINUTE, frame)


@dataclass(frozen=True, slots=True)
class Timecode:
    """The label of a frame: hours, minutes, seconds, frames; `part` is a share of a frame that is told beside it."""

    rate: Rate
    hours: int = 0
    minutes: int = 0
    seconds: int = 0
    frame: int = 0
    part: Fraction = Fraction(0)

    def __str__(self) -> str:
        mark = ";" if self.rate.drop else ":"
        return f"{self.hours:02}:{self.minutes:02}:{self.seconds:02}{mark}{self.frame:02}"

    @property
    def count(self) -> int:
        """The number of frames since 00:00:00:00."""
        minutes = self.hours * 60 + self.minutes
        frames = (minutes * MINUTE + self.seconds) * self.rate.base + self.frame
        return frames - self.rate.drop * (minutes - minutes // TENTH)

    @property
    def time(self) -> Fraction:
        """The true time in seconds since 00:00:00:00: 01:00:00:00 at 23.976 is 3603.6."""
        return (self.count + self.part) / self.rate.frames

    @property
    def exists(self) -> bool:
        """Whether a film has such a frame."""
        is_dropped = not self.seconds and self.frame < self.rate.drop and self.minutes % TENTH
        fits = self.hours < HOURS and self.minutes < 60 and self.seconds < MINUTE and self.frame < self.rate.base
        return fits and not is_dropped

    def at(self, rate: Rate) -> Timecode:
        """Return the label that says the same at another rate, with the share of a frame that it leaves over."""
        frame, left = divmod(self.frame * rate.base, self.rate.base)
        part = (Fraction(left) + self.part * rate.base) / self.rate.base
        found = Timecode(rate, self.hours, self.minutes, self.seconds, frame, part)
        return found if found.exists else Timecode(rate, self.hours, self.minutes, self.seconds, rate.drop)


def _rates(*bases: int) -> Iterable[Rate]:
    for base in bases:
        if base % 24 == 0 or base % 30 == 0:
            slowed = Rate(base * SLOWED, base)
            if slowed.can_drop:
                yield slowed.counting(drops=True)
            yield slowed
        yield Rate(Fraction(base), base)


USUAL: Final = tuple(_rates(24, 25, 30, 48, 50, 60, 120))
"""All rates in which films count; of one with drop frame and one without, the former comes first."""

LABELLED: Final = tuple(rate for rate in USUAL if rate.base <= 60)
"""Those whose labels have frames of two digits."""

MIDI: Final = tuple(rate for rate in USUAL if rate.base <= 30)
"""Those that MIDI can state; it calls 23.976 and 29.97 without drop frame by the names 24 and 30."""

UNKNOWN: Final = Rate(Fraction(30), 30)
"""In which a film counts of which nothing is known: the finest that all hosts have."""

RATE_NAMES: Final = tuple(dict.fromkeys(rate.name.removesuffix(" drop") for rate in USUAL))


def counted(frame_rate: tuple[int, int]) -> Rate | None:
    """Return the rate in which a film counts, by its stream's (numerator, denominator); None where that is unknown."""
    stated = _stated(frame_rate)
    if not stated:
        return None
    for factor in range(1, MOST_FACTOR + 1):
        for part in (stated * factor, stated / factor):
            near = _nearest(part)
            if abs(part / near.frames - 1) < NEAR:
                return near
    return _nearest(stated)


def _stated(frame_rate: tuple[int, int]) -> Fraction:
    """Return a rate, 0 for one that no film has."""
    numerator, denominator = frame_rate
    rate = Fraction(numerator, denominator) if numerator > 0 and denominator > 0 else Fraction(0)
    return rate if 1 / MOST_RATE <= rate <= MOST_RATE else Fraction(0)


def _nearest(stated: Fraction) -> Rate:
    return min(USUAL, key=lambda rate: max(stated / rate.frames, rate.frames / stated))


def named_rate(text: str) -> Rate:
    """Read a rate such as 25, 23.976 or 30000/1001. Raises `UsageError` where it is none of the usual ones."""
    near = _meant(text)
    if near is None:
        raise UsageError(
            f"There is no timecode of {text.strip()!r} frames a second.", hint=f"Choose from {', '.join(RATE_NAMES)}."
        )
    return near


def is_rate(text: str) -> bool:
    """Return whether a text is a rate in which films count."""
    return _meant(text) is not None


def _meant(text: str) -> Rate | None:
    said = NUMBER.fullmatch(text.strip())
    stated = Fraction(said[1]) / int(said[2] or 1) if said and int(said[2] or 1) else Fraction(0)
    near = _nearest(stated) if stated > 0 else None
    return near if near is not None and abs(stated / near.frames - 1) <= MEANT else None


def fitted(rate: Rate, known: Iterable[Rate]) -> Rate:
    """Return the rate among those that a format knows in which a film of a rate counts: the same, or a part of it.

    >>> fitted(Rate(Fraction(50), 50), MIDI).name, fitted(Rate(60 * SLOWED, 60, 4), MIDI).name
    ('25', '29.97 drop')
    """
    rates = tuple(known)
    for same_labels in (True, False):
        for factor in range(1, MOST_FACTOR + 1):
            for each in rates:
                if each.frames * factor == rate.frames and (not same_labels or bool(each.drop) == bool(rate.drop)):
                    return each
    return min(rates, key=lambda each: max(rate.frames / each.frames, each.frames / rate.frames))


def is_label(text: str) -> bool:
    """Return whether a text is a label, of whatever rate."""
    return LABEL.fullmatch(text.strip()) is not None


def read_label(text: str, rate: Rate, *, strict: bool = True) -> Timecode:
    """Read a label of a film: `;` says that it counts in drop frame, `:` that it does not, none that it does as `rate`.

    Where it is not `strict`, `rate` alone says so. Raises `UsageError` where there is no such label.
    """
    found = LABEL.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"There is no timecode {text!r}.", hint=HINT)
    mark = found[4]
    if strict and mark in (":", ";"):
        if mark == ";" and not rate.can_drop:
            raise UsageError(
                f"There is no drop frame at {rate.name} frames a second, as {text.strip()} would be.",
                hint="Write it with : before the frames.",
            )
        rate = rate.counting(drops=mark == ";")
    label = Timecode(rate, int(found[1]), int(found[2]), int(found[3]), int(found[5] or 0))
    if mark is None and rate.drop and not label.exists:
        label = Timecode(rate, label.hours, label.minutes, label.seconds, rate.drop)  # the first of that second
    if not label.exists:
        raise UsageError(
            f"There is no timecode {text.strip()!r} at {rate.name} frames a second{_why(label)}.", hint=HINT
        )
    return label


def _why(label: Timecode) -> str:
    rate = label.rate
    if label.frame >= rate.base:
        return f", whose frames count from 00 to {rate.base - 1}"
    if label.hours < HOURS and label.minutes < 60 and label.seconds < MINUTE:
        return f": each minute but every tenth begins with ;{rate.drop:02}"
    return ", which ends at 23:59:59"


@dataclass(frozen=True, slots=True)
class Counting:
    """In which timecode a session counts a film.

    `start` is the label of the first picture in the session, `own` the one that the film itself gives it, counted from
    the beginning of its file where it gives none. `is_known` is False where nothing tells the rate. `nominal` is the
    rate of the film's stream in frames a second, 0 where unknown; it is not `is_natural` where a person said another.
    """

    start: Timecode
    own: Timecode
    is_known: bool = True
    nominal: Fraction = Fraction(0)
    is_natural: bool = True

    @property
    def rate(self) -> Rate:
        """The rate at which the session counts."""
        return self.start.rate

    @property
    def pictures(self) -> Fraction:
        """Pictures of a second, by which frames are numbered: several for each label in a film that is faster."""
        several = round(self.nominal / self.rate.frames)
        return self.nominal if several > 1 and self.nominal == several * self.rate.frames else self.rate.frames

    def told(self, what: str, known: Iterable[Rate]) -> tuple[str, ...]:
        """Return sentences about how a format, `what`, counts a film whose rate is none of those it knows.

        >>> counting_of((50, 1)).told("MTC", MIDI)
        ('MTC does not count 50 frames a second, but 25: a label for every 2 pictures.',)
        """
        found = []
        if self.is_known and self.is_natural and abs(self.nominal / self.rate.frames - 1) > MEANT:
            nominal = f"{float(self.nominal):.3f}".rstrip("0").rstrip(".")
            found.append(f"No timecode counts {nominal} frames a second, as the film has: it counts {self.rate.name}.")
        there = fitted(self.rate, known)
        if self.is_known and there != self.rate:
            every = self.rate.frames / there.frames
            each = f": a label for every {every} pictures" if every.denominator == 1 and every > 1 else ""
            found.append(f"{what} does not count {self.rate.name} frames a second, but {there.name}{each}.")
        return tuple(found)

    def fitted(self, known: Iterable[Rate]) -> Counting:
        """Return it at the rate that a format knows."""
        rates = tuple(known)
        start, own = fitted(self.start.rate, rates), fitted(self.own.rate, rates)
        return replace(self, start=self.start.at(start), own=self.own.at(own))


def counting_of(
    frame_rate: tuple[int, int], own: str = "", *, offset: float | Fraction = 0, start: str = "", rate: str = ""
) -> Counting:
    """Return the timecode of a film whose stream has a rate, and whose first picture has the label `own`, empty for
    none.

    That picture is `offset` seconds after the beginning of its file. `start` and `rate` are what a person says instead,
    empty for nothing. Raises `UsageError` where they cannot be.
    """
    nominal = _stated(frame_rate)
    natural = counted(frame_rate)
    usual = named_rate(rate) if rate else natural
    basis = usual or UNKNOWN
    label = _own(own, natural or basis, basis)
    if start:
        said = read_label(start, basis if label is None else basis.counting(drops=bool(label.rate.drop)))
    else:
        said = label or Timecode(basis)
    return Counting(said, label or said.rate.label(said.rate.number(offset)), usual is not None, nominal, not rate)


def _own(text: str, natural: Rate, rate: Rate) -> Timecode | None:
    """Return the film's own label, read at its natural rate or at twice or four times that, as some cameras count;
    what is no label there is as if there were none."""
    for factor in (1, 2, 4):
        try:
            label = read_label(
                text, Rate(natural.frames * factor, natural.base * factor).counting(drops=natural.drop > 0)
            )
        except UsageError:
            continue
        wanted = rate.counting(drops=label.rate.drop > 0)
        return label if wanted == label.rate else label.at(wanted)
    return None
