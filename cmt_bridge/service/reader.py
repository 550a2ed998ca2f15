"""The reader of requests: JSON as RFC 8259 has it, and no further, whichever way it came."""

from __future__ import annotations

import json
import math
from typing import Any, Final

from cmt_bridge.errors import UsageError
from cmt_bridge.service.openapi import is_unicode, tidy

__all__ = ["MOST_BYTES", "finite", "read_object"]

MOST_BYTES: Final = 1 << 16  # of a request


def read_object(data: bytes, what: str) -> dict[str, Any]:
    """Read a JSON object in UTF-8: no NaN, no field twice, no half of a character, and of so many bytes at most.

    Raises `UsageError` for anything else; `what` is what the data is called there.
    """
    if len(data) > MOST_BYTES:
        raise UsageError(f"{what} is longer than {MOST_BYTES} bytes.", hint="Ask for less at once.")
    try:
        read = json.loads(data.decode(), parse_float=_real, parse_constant=_real, object_pairs_hook=_object)
        whole = is_unicode(json.dumps(read, ensure_ascii=False))
    except (ValueError, RecursionError):
        raise UsageError(f"{what} is not valid JSON.", hint="Send JSON in UTF-8.") from None
    if not whole:
        raise UsageError(f"{what} has half of a character in it.", hint="Send whole characters: no lone surrogates.")
    if not isinstance(read, dict):
        raise UsageError(f"{what} is no JSON object.", hint='Send one, such as {"path": "clip.mp4"}.')
    return read


def finite(number: float) -> float:
    """Return a number as JSON can say it, whole where it has no fraction. Raises `ValueError` where it is none."""
    if not math.isfinite(number):
        raise ValueError(number)
    return tidy(number)


def _real(text: str) -> float:
    return finite(float(text))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) != len(pairs):
        raise UsageError("The request says a field twice.", hint="Say it once.")
    return read
