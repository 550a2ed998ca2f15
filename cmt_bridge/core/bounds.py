"""Bounds of what comes in: how much of anything there may be, and the readers of JSON and TOML that keep to it.

Whoever made a file or a request may have meant harm, or a byte of it may be wrong. So each number is looked at where it
enters, against this one table; nothing further in has to ask again. No bound is one that music for a film comes near.
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cmt_bridge.errors import CmtBridgeError, UsageError

__all__ = [
    "BARS",
    "CANDIDATES",
    "CHANGES",
    "CHOICES",
    "CONTROL",
    "CUT_SENSITIVITY",
    "DENSITY",
    "FILM",
    "FRAME_RATE",
    "FRAME_SIZE",
    "JSON_BYTES",
    "LATENCY",
    "LAYERS",
    "LENGTH",
    "MARKS",
    "NUCLEUS",
    "NUMBER",
    "OSC_PORT",
    "PATTERN",
    "PATTERNS",
    "PITCH",
    "POLYPHONY",
    "RECALL",
    "RELEASE",
    "SEED",
    "SETTLE",
    "STREAM_BARS",
    "STRETCHES",
    "SURPRISE",
    "TAKE",
    "TEMPERATURE",
    "TEMPO",
    "TEXT",
    "TOML_BYTES",
    "UNITS",
    "VARIATIONS",
    "Bound",
    "BoundsError",
    "check_bars",
    "fault_of",
    "listed",
    "plain",
    "read_json_bytes",
    "read_toml_bytes",
    "shortened",
]


class BoundsError(ValueError):
    """Something is out of bounds; its text goes on from "is damaged: "."""


@dataclass(frozen=True, slots=True)
class Bound:
    """How much of something there may be, from `least` to `most`; `hint` is what to do about more or less."""

    what: str
    least: float
    most: float
    hint: str = ""

    def fault(self, value: float) -> str:
        """Return what is wrong with a number, or nothing. NaN is always wrong."""
        if self.least <= value <= self.most:
            return ""
        return f"{_shown(value)} {self.what}, where {_shown(self.least)} to {_shown(self.most)} can be"

    def of(self, value: float) -> float:
        """Return the number. Raises `BoundsError` where it is out of bounds."""
        fault = self.fault(value)
        if fault:
            raise BoundsError(fault)
        return value

    def whole(self, value: Any) -> int:
        """Return a value as a whole number. Raises `BoundsError`, `TypeError` or `ValueError` where it is none."""
        number = int(value)
        self.of(number)
        return number

    def check(self, value: float, error: type[CmtBridgeError] = UsageError) -> None:
        """Raise an error for a person where a number is out of bounds."""
        if self.fault(value):
            possible = f"{_shown(self.least)} to {_shown(self.most)} can be used."
            raise error(f"{_shown(value)} {self.what} cannot be used.", hint=f"{possible} {self.hint}".strip())


BARS: Final = Bound("bars", 1, 10_000, "That is 5.5 hours at 120 BPM: cut the film into reels, or give a slower tempo.")
FILM: Final = Bound("seconds of film", 0, 21_600, "Cut the film into reels.")
LENGTH: Final = Bound("ticks", 0, int(BARS.most) * 16)
FRAME_RATE: Final = Bound("frames per second", 0, 1_000)
FRAME_SIZE: Final = Bound("pixels to a side", 0, 1 << 16)
NUMBER: Final = Bound("as a whole number", -(1 << 63), (1 << 63) - 1)
CANDIDATES: Final = Bound("candidates", 1, 64)
CONTROL: Final = Bound("as a control", 0, 1)
CUT_SENSITIVITY: Final = Bound("as a cut sensitivity", 0, 1)
DENSITY: Final = Bound("onsets per bar more", -15, 15)  # a bar has 1 to 16: from the sparsest to the densest, and back
NUCLEUS: Final = Bound("as a nucleus", 0.001, 1, "0.9 is usual; 1 leaves nothing out.")
PITCH: Final = Bound("as a MIDI pitch", 0, 127)
POLYPHONY: Final = Bound("notes at once", 1, 16)
RECALL: Final = Bound("as a recall", 0, 10, "1 is usual.")
SEED: Final = Bound("as a seed", 0, (1 << 63) - 1, "Give a whole number from 0 on.")
TAKE: Final = Bound("as the number of a take", 1, 1_000_000)
TEMPERATURE: Final = Bound("as a temperature", 0.01, 100, "1 is as the model learned it.")
TEMPO: Final = Bound("BPM", 20, 400)
TEXT: Final = Bound("letters", 0, 4096)
CHANGES: Final = Bound("changes of tempo", 1, 10_000)
MARKS: Final = Bound("markers", 0, 50_000)
CHOICES: Final = Bound("choices", 0, 100_000)
SURPRISE: Final = Bound("nats of surprise", -1e9, 1e9)
STRETCHES: Final = Bound("stretches of bars", 0, 1_000, "Give fewer and longer ones, such as 1-8:1,9-16:0.3.")
SETTLE: Final = Bound("seconds without a change", 0, 3600)
RELEASE: Final = Bound("minutes", 0, 1_000_000)
OSC_PORT: Final = Bound("as the number of a port", 0, 65_535)
STREAM_BARS: Final = Bound("bars of a stream", 1, 100_000)  # which may go on without end
VARIATIONS: Final = Bound("takes at once", 1, 64)
PATTERN: Final = Bound("letters of a pattern", 0, 256)
PATTERNS: Final = Bound("patterns", 0, 128)
LATENCY: Final = Bound("ms of latency", -10_000, 10_000, "Give how many ms late an instrument sounds, such as 30.")
LAYERS: Final = Bound("layers", 1, 256)
UNITS: Final = Bound("units", 1, 1 << 16)

JSON_BYTES: Final = 32 << 20  # a score of 10,000 full bars
JSON_LISTS: Final = 1 << 20  # lists and objects in a file
JSON_DIGITS: Final = 20  # of a whole number
TOML_BYTES: Final = 64 << 10
TOML_PARTS: Final = 32  # of a dotted key
TOML_VALUES: Final = 10_000
VALUES: Final = 50_000  # in what has no form of its own
DEEPEST: Final = 16  # lists and objects in each other, in what has no form of its own

_KEY = r"""(?:[A-Za-z0-9_-]++|"[^"\n]*+"|'[^'\n]*+')"""
_ENDLESS_KEY = re.compile(rf"(?<![A-Za-z0-9_-]){_KEY}(?:[ \t]*+\.[ \t]*+{_KEY}){{{TOML_PARTS},}}")


_ENDLESS_NUMBER = re.compile(rb"\d{%d}" % (JSON_DIGITS + 1))


def check_bars(name: str, seconds: float, bpm: float, error: type[CmtBridgeError]) -> None:
    """Raise an error where a film of so many seconds has more bars at a tempo than there may be; `name` is the film's.

    So that a film that is no film is refused before it costs anything.
    """
    bars = seconds * bpm / 240
    if not bars <= BARS.most:
        raise error(
            f"{name} lasts {seconds / 3600:.1f} hours, which are {_shown(math.ceil(bars))} bars at {bpm:.4g} BPM, "
            f"and music has up to {_shown(BARS.most)}.",
            hint=BARS.hint,
        )


def shortened(text: str, most: int = 60) -> str:
    """Return a text as it is quoted in a sentence: all of it, or its beginning where it is long."""
    return repr(text if len(text) <= most else f"{text[:most]}…")


def fault_of(error: Exception, most: int = 160) -> str:
    """Return an error of Python as it is told in a sentence about a file; it may quote any length of it."""
    text = str(error) if isinstance(error, BoundsError) else repr(error)
    return text if len(text) <= most else f"{text[:most]}…"


def _shown(value: float) -> str:
    if isinstance(value, int) and abs(value) >= 10**JSON_DIGITS:
        return f"{'-' if value < 0 else ''}10^{len(str(abs(value) >> 64)) + 18} or more"
    return f"{value:,}" if isinstance(value, int) else f"{value:,g}"


# Readers


def read_json_bytes(data: bytes) -> Any:
    """Read JSON within bounds: no endless numbers, whole letters, no field twice. NaN and Infinity may be in it.

    Raises `BoundsError` for what goes beyond them, `ValueError` for what is no JSON.
    """
    if len(data) > JSON_BYTES:
        raise BoundsError(f"it is larger than {JSON_BYTES >> 20} MB")
    if data.count(b"[") + data.count(b"{") > JSON_LISTS:
        raise BoundsError(f"it has more than {JSON_LISTS:,} lists")
    hooks: dict[str, Any] = {"parse_int": _whole} if _ENDLESS_NUMBER.search(data) else {}  # which takes its time
    try:
        found = json.loads(data, object_pairs_hook=_object, **hooks)
    except RecursionError as error:
        raise ValueError("lists in lists without end") from error
    if b"\\u" in data and not _is_unicode(found):
        raise BoundsError("it holds half of a letter")
    return found


def _whole(text: str) -> int:
    if len(text) > JSON_DIGITS:
        raise BoundsError(f"it holds a number of {len(text):,} digits")
    return int(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        (name, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise BoundsError(f"it says {shortened(name)} twice")
    return found


def _is_unicode(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def read_toml_bytes(data: bytes) -> dict[str, Any]:
    """Read TOML within bounds. Raises `ValueError`, whose text says what is wrong."""
    if len(data) > TOML_BYTES:
        raise BoundsError(f"it is larger than {TOML_BYTES >> 10} KB")
    try:
        text = data.decode("utf-8-sig")
        if _ENDLESS_KEY.search(text):
            raise BoundsError(f"a key has more than {TOML_PARTS} parts")
        found = tomllib.loads(text)
    except RecursionError as error:
        raise BoundsError("lists in lists without end") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, BoundsError):
        raise
    except ValueError as error:  # of a whole number that Python refuses to read
        raise BoundsError("it holds a number without end") from error
    _check_plain(found, TOML_VALUES, finite=False)  # what each setting may be is looked at where it is read
    return found


def plain(data: Any) -> dict[str, Any]:
    """Return an object that has no form of its own, such as what was asked for, as far as it is within bounds.

    Raises `BoundsError` or `TypeError` where it is not, or is no object.
    """
    if not isinstance(data, Mapping):
        raise TypeError(f"{type(data).__name__} is no object")
    _check_plain(data, VALUES)
    return dict(data)


def _check_plain(data: Any, most: int, *, finite: bool = True) -> None:
    """Raise `BoundsError` for values too many, too deep, too long or too large. Goes down without recursion."""
    left: list[tuple[Any, int]] = [(data, 0)]
    seen = 0
    while left:
        value, depth = left.pop()
        seen += 1
        if depth > DEEPEST:
            raise BoundsError("lists in lists without end")
        if isinstance(value, Mapping):
            left += [(each, depth + 1) for pair in value.items() for each in pair]
        elif isinstance(value, list | tuple):
            left += [(each, depth + 1) for each in value]
        elif isinstance(value, str):
            TEXT.of(len(value))
        elif isinstance(value, int):
            NUMBER.of(value)
        elif finite and isinstance(value, float) and not math.isfinite(value):
            raise BoundsError(f"it holds {value}, which is no number")
        if seen + len(left) > most:
            raise BoundsError(f"it holds more than {most:,} values")


def listed(values: Iterable[float], most: int = 5) -> str:
    """Return some numbers as they are told in a sentence: the first of them where there are many."""
    texts = [f"{value:g}" for value in values]
    return ", ".join(texts[:most]) + (" …" if len(texts) > most else "") or "nothing"
