"""Kinds of settings: how a value is read, what is allowed, and how JSON Schema describes it.

A value may come as text, from a command line or a host's script, or as a number, list or object of TOML or JSON.
One reader per kind takes all of them, so that a setting means the same whichever way it came.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cmt_bridge.core.bounds import BARS, PATTERN, PATTERNS, STREAM_BARS, STRETCHES, Bound, shortened
from cmt_bridge.core.timecode import RATE_NAMES, is_label, is_rate
from cmt_bridge.errors import UsageError

__all__ = [
    "BarRange",
    "Choice",
    "ChoiceList",
    "FilePath",
    "FrameRate",
    "Kind",
    "Label",
    "Moment",
    "NameList",
    "Number",
    "NumberByName",
    "NumberPerBar",
    "NumberRange",
    "PatternList",
    "PitchesByName",
    "Schema",
    "Switch",
    "Text",
    "WholeByName",
    "WholeNumber",
    "as_text",
    "not_allowed",
]

Schema = dict[str, Any]
"""A JSON Schema of OpenAPI 3.1."""

NO_NUL: Final = "^[^\\u0000]+$"
ONE_BAR_RANGE: Final = re.compile(r"(\d{1,6})(?:-(\d{1,6}))?")
VALUED_BAR_RANGE: Final = re.compile(r"(\d{1,6})(?:-(\d{1,6}))?:([\d.]{1,20})")
ENDLESS: Final = 1e9  # a number that nobody comes to
MOST_ITEMS: Final = 16  # of a list, in JSON


def as_text(value: Any) -> str:
    """Return a value of TOML or JSON as the text that the command line would have.

    >>> as_text({"bass": [28, 50]})
    'bass=28-50'
    """
    if isinstance(value, Mapping):
        return ",".join(f"{key}={as_text(each).replace(',', '-')}" for key, each in value.items())
    if isinstance(value, list | tuple):
        return ",".join(as_text(each) for each in value)
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value or value != value else repr(value)
    return str(value)


def not_allowed(name: str, allowed: str, value: Any, hint: str) -> UsageError:
    """Return the error for a value that is not allowed; it is the same whichever way the value came.

    Args:
        name: The name of the setting.
        allowed: What it may be, so that it fits after "must be".
        value: What was given instead, as text or as plain data.
        hint: What the setting does.
    """
    return UsageError(f"{name} must be {allowed}, not {_quoted(value)}.", hint=hint)


def _quoted(value: Any) -> str:
    """Return a value as it stands in a sentence; numbers and lists of names are the same whether text or not."""
    if isinstance(value, list | tuple) and value and all(isinstance(each, str) for each in value):
        value = ",".join(value)
    if isinstance(value, str):
        try:
            float(value)
        except ValueError:
            return shortened(value)
        return shortened(value)[1:-1]
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = str(value)
    return shortened(text)[1:-1]


def _parts(text: str) -> list[str]:
    """Return what commas part, without empty parts and spaces around."""
    return [part for part in (part.strip() for part in text.split(",")) if part]


def _span(bound: Bound) -> str:
    if bound.most < ENDLESS:
        return f"from {_figure(bound.least)} to {_figure(bound.most)}"
    return f"from {_figure(bound.least)} up"


def _figure(number: float) -> str:
    """Return a number as it stands in a sentence."""
    return f"{int(number):,}" if number == int(number) else f"{number:g}"


def _json_bounds(bound: Bound) -> Schema:
    return {"minimum": bound.least, "maximum": bound.most}


class Kind:
    """What a setting may be."""

    @property
    def name(self) -> str:
        """The name of the kind in generated tables."""
        raise NotImplementedError

    @property
    def allowed(self) -> str:
        """What is allowed, so that it fits after "must be"."""
        raise NotImplementedError

    @property
    def schema(self) -> Schema:
        """The JSON Schema of a value in a request."""
        raise NotImplementedError

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The lowest and the highest number allowed; None for what is no number."""
        return None

    @property
    def span(self) -> str:
        """The bounds in words, such as "0 to 1"; empty where there are none that a person could meet."""
        if self.bounds is None:
            return ""
        low, high = self.bounds
        return f"{_figure(low)} to {_figure(high)}" if high < ENDLESS else f"{_figure(low)} and up"

    @property
    def choices(self) -> tuple[str, ...]:
        """The names to choose from; empty for what is not chosen from names."""
        return ()

    def read(self, value: Any) -> Any:
        """Return a value, text or plain data of TOML or JSON, as what it means. Raises `ValueError` or `TypeError`."""
        raise NotImplementedError


@dataclass(frozen=True)
class Bounded(Kind):
    """A kind of numbers within a bound."""

    bound: Bound

    @property
    def bounds(self) -> tuple[float, float]:
        return self.bound.least, self.bound.most


class Number(Bounded):
    """A number within a bound; read as float."""

    name = "number"

    @property
    def allowed(self) -> str:
        return f"a number {_span(self.bound)}"

    @property
    def schema(self) -> Schema:
        return {"type": "number", **_json_bounds(self.bound)}

    def read(self, value: Any) -> float:
        return self.bound.of(float(as_text(value)))


class WholeNumber(Bounded):
    """A whole number within a bound; read as int."""

    name = "whole"

    @property
    def allowed(self) -> str:
        return f"a whole number {_span(self.bound)}"

    @property
    def schema(self) -> Schema:
        return {"type": "integer", **_json_bounds(self.bound)}

    def read(self, value: Any) -> int:
        return self.bound.whole(as_text(value))


class Switch(Kind):
    """True or false."""

    name = "switch"
    allowed = "true or false"

    @property
    def schema(self) -> Schema:
        return {"type": "boolean"}

    def read(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise TypeError(value)
        return value


@dataclass(frozen=True)
class Text(Kind):
    """Text of `least` to `most` characters, and no NUL; `what` is what is allowed, where that is not just any text."""

    what: str = ""
    least: int = 1
    most: int = 4096

    name = "text"

    @property
    def allowed(self) -> str:
        return self.what or f"text of {self.least} to {self.most:,} characters"

    @property
    def schema(self) -> Schema:
        return {"type": "string", "minLength": self.least, "maxLength": self.most, "pattern": NO_NUL}

    def read(self, value: Any) -> str:
        if not isinstance(value, str):
            raise TypeError(value)
        if not self.least <= len(value) <= self.most or "\0" in value:
            raise ValueError(value)
        return value


class FilePath(Text):
    """The path of a file."""

    name = "path"

    @property
    def schema(self) -> Schema:
        return {"$ref": "#/components/schemas/Path"}


@dataclass(frozen=True)
class Choice(Kind):
    """One of some names."""

    known: tuple[str, ...]

    name = "choice"

    @property
    def allowed(self) -> str:
        return f"one of {', '.join(filter(None, self.known))}"

    @property
    def schema(self) -> Schema:
        return {"type": "string", "enum": list(self.known)}

    @property
    def choices(self) -> tuple[str, ...]:
        return self.known

    def read(self, value: Any) -> str:
        if not isinstance(value, str):
            raise TypeError(value)
        if value not in self.known:
            raise ValueError(value)
        return value


@dataclass(frozen=True)
class NameList(Kind):
    """A list of names of something outside, such as ports; a text is one name, commas and all."""

    what: str
    longest: int = 256

    name = "list"

    @property
    def allowed(self) -> str:
        return f"a list of names of {self.what}"

    @property
    def schema(self) -> Schema:
        item = {"type": "string", "minLength": 1, "maxLength": self.longest, "pattern": NO_NUL}
        return {"type": "array", "items": item, "maxItems": MOST_ITEMS}

    def read(self, value: Any) -> tuple[str, ...]:
        names = (value,) if isinstance(value, str) else value
        if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
            raise TypeError(value)
        if not all(0 < len(name) <= self.longest and "\0" not in name for name in names):
            raise ValueError(value)
        return tuple(names)


@dataclass(frozen=True)
class ChoiceList(Kind):
    """Some of some names, as a list or with commas between; letters may be large or small.

    With `spelled` JSON has to say them as they are known; else a reader decides, and JSON Schema leaves them open.
    """

    known: tuple[str, ...]
    spelled: bool = False
    least: int = 0

    name = "list"

    @property
    def allowed(self) -> str:
        return f"a list of {', '.join(self.known)}"

    @property
    def schema(self) -> Schema:
        item: Schema = {"type": "string", "minLength": 1, "maxLength": 64}
        if self.spelled:
            item = {"type": "string", "enum": list(self.known)}
        fewest = {"minItems": self.least} if self.least else {}
        return {"type": "array", "items": item, **fewest, "maxItems": max(MOST_ITEMS, 2 * len(self.known))}

    @property
    def choices(self) -> tuple[str, ...]:
        return self.known

    def read(self, value: Any) -> tuple[str, ...]:
        if not isinstance(value, str | list | tuple):
            raise TypeError(value)
        names = tuple(part.lower() for part in _parts(as_text(value)))
        if not set(names) <= set(self.known) or (not names and value):
            raise ValueError(value)
        return names


class NumberRange(Bounded):
    """Two numbers within a bound, the lower one first; read as (low, high)."""

    name = "range"

    @property
    def allowed(self) -> str:
        return f"two numbers {_span(self.bound)}, the lower one first, such as 80,120"

    @property
    def schema(self) -> Schema:
        return {"type": "array", "items": {"type": "number", **_json_bounds(self.bound)}, "minItems": 2, "maxItems": 2}

    def read(self, value: Any) -> tuple[float, float]:
        low, high = (self.bound.of(float(part)) for part in as_text(value).split(","))
        if low > high:
            raise ValueError(value)
        return low, high


@dataclass(frozen=True)
class NumberPerBar(Bounded):
    """One number for the piece, or numbers for bars: `0.7`, or `1-4:1,9:0.3` with bars from 1.

    Read as one number per bar, the last of which holds on; bars that are not named have the `usual` one.
    """

    usual: float

    name = "number per bar"

    @property
    def allowed(self) -> str:
        return f"a number {_span(self.bound)}, or such numbers for bars from 1, as in 1-4:1,9:0.3"

    @property
    def schema(self) -> Schema:
        return {"type": ["number", "string"], **_json_bounds(self.bound)}

    def read(self, value: Any) -> tuple[float, ...]:
        text = as_text(value)
        if ":" not in text:
            return (self.bound.of(float(text)),)
        parts = text.split(",")
        STRETCHES.check(len(parts))
        bars: list[float] = []
        for part in parts:
            found = VALUED_BAR_RANGE.fullmatch(part.strip())
            if found is None:
                raise ValueError(value)
            first, last, number = int(found[1]), int(found[2] or found[1]), self.bound.of(float(found[3]))
            if not 1 <= first <= last < BARS.most:
                raise ValueError(value)
            bars += [self.usual] * (last - len(bars))
            bars[first - 1 : last] = [number] * (last - first + 1)
        return (*bars, self.usual)


@dataclass(frozen=True)
class NumberByName(Bounded):
    """Numbers by names: `pitch=1.1,duration=1.5`, or one for all, which is read under the empty name."""

    known: tuple[str, ...]
    such: str

    name = "number by name"

    @property
    def allowed(self) -> str:
        return f"{self._one} {_span(self.bound)}, or such by name, as in {self.such}, of {', '.join(self.known)}"

    @property
    def _one(self) -> str:
        return "a number"

    @property
    def schema(self) -> Schema:
        one = {"type": "number", **_json_bounds(self.bound)}
        more = {"maxProperties": MOST_ITEMS, "additionalProperties": one}
        return {"type": ["number", "object"], **_json_bounds(self.bound), **more}

    @property
    def choices(self) -> tuple[str, ...]:
        return self.known

    def read(self, value: Any) -> dict[str, Any]:
        if isinstance(value, Mapping) and any(isinstance(each, str | bool) for each in value.values()):
            raise TypeError(value)
        found: dict[str, Any] = {}
        for part in _parts(as_text(value)):
            name, _, number = part.rpartition("=")
            name = name.strip().lower()
            if name and name not in self.known:
                raise ValueError(value)
            found.pop(name, None)  # so that what is said last comes last
            found[name] = self._value(number)
        return found

    def _value(self, text: str) -> Any:
        return self.bound.of(float(text))


class WholeByName(NumberByName):
    """Whole numbers by names, or one for all."""

    name = "whole by name"

    @property
    def _one(self) -> str:
        return "a whole number"

    def _value(self, text: str) -> Any:
        return self.bound.whole(text)


class PitchesByName(NumberByName):
    """The lowest and the highest pitch by names: `bass=28-50`, or one pair for all; read as (low, high) each."""

    name = "pitches by name"

    @property
    def _one(self) -> str:
        return "two MIDI pitches"

    def _value(self, text: str) -> Any:
        low, high = (int(part) for part in text.split("-"))
        if low > high:
            raise ValueError(text)
        return self.bound.whole(low), self.bound.whole(high)


class BarRange(Kind):
    """Bars such as 5-8, from 1, the last included; empty for none. Read as text."""

    name = "bars"
    allowed = "bars from 1, such as 5-8"

    @property
    def schema(self) -> Schema:
        return {"type": "string", "maxLength": 32, "pattern": "^([0-9]{1,6}(-[0-9]{1,6})?)?$"}

    def read(self, value: Any) -> str:
        if not isinstance(value, str):
            raise TypeError(value)
        if value:
            found = ONE_BAR_RANGE.fullmatch(value)
            if found is None or not 1 <= int(found[1]) <= int(found[2] or found[1]) <= STREAM_BARS.most:
                raise ValueError(value)
        return value


class Moment(Bounded):
    """Seconds of the video, or the name of a marker; read as text."""

    name = "moment"

    @property
    def allowed(self) -> str:
        return f"seconds {_span(self.bound)}, or the name of a marker"

    @property
    def schema(self) -> Schema:
        return {"type": ["number", "string"], **_json_bounds(self.bound), "minLength": 1, "maxLength": 200}

    def read(self, value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise TypeError(value)
        if not as_text(value):
            raise ValueError(value)
        return as_text(value)


class Label(Kind):
    """A timecode of a frame; empty for none."""

    name = "timecode"
    allowed = "a timecode such as 01:00:00:00, or 01:00:00;00 in drop frame"

    @property
    def schema(self) -> Schema:
        return {"type": "string", "maxLength": 32, "pattern": "^[0-9:;.]*$"}

    def read(self, value: Any) -> str:
        if not isinstance(value, str):
            raise TypeError(value)
        if value and not is_label(value):
            raise ValueError(value)
        return value


class FrameRate(Kind):
    """Frames a second, as timecode counts them; empty for none. Read as text."""

    name = "frame rate"

    @property
    def allowed(self) -> str:
        return f"one of {', '.join(RATE_NAMES)}"

    @property
    def schema(self) -> Schema:
        return {"type": ["number", "string"], "minimum": 1, "maximum": 1000, "maxLength": 32}

    def read(self, value: Any) -> str:
        text = as_text(value)
        if text and not is_rate(text):
            raise ValueError(value)
        return text


class PatternList(Kind):
    """A list of patterns of paths, such as `proxies/*`."""

    name = "list"

    @property
    def allowed(self) -> str:
        return f"a list of up to {PATTERNS.most} patterns, each of up to {PATTERN.most} letters"

    @property
    def schema(self) -> Schema:
        item = {"type": "string", "maxLength": int(PATTERN.most)}
        return {"type": "array", "items": item, "maxItems": int(PATTERNS.most)}

    def read(self, value: Any) -> tuple[str, ...]:
        if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
            raise TypeError(value)
        if PATTERNS.fault(len(value)) or any(PATTERN.fault(len(each)) for each in value):
            raise ValueError(value)
        return tuple(value)
