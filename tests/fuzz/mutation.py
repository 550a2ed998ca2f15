"""Damage data on purpose: the same seed does the same damage."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

__all__ = ["damaged_bytes", "damaged_json", "damaged_toml"]

NUMBERS: Sequence[Any] = (
    *(0, -1, 1, 2, 127, 128, 255, 16_383, 65_535, 65_536, 10**6, 2**31, 2**53, 2**63, -(2**63), 2**64, 10**12, 10**19),
    *(10**40, -(10**40), 10**309, 0.0, -0.0, 0.5, 1e-308, 5e-324, 1e308, -1e308, float("nan"), float("inf")),
    float("-inf"),
)
TEXTS: Sequence[str] = (
    *(
        "",
        " ",
        "0",
        "-1",
        "1e999",
        "nan",
        "x" * 5000,
        "../../etc/passwd",
        "/etc/passwd",
        "~/x",
        "..",
        ".",
        "a/b",
        "a\\b",
    ),
    *(
        "C:\\x",
        "nul\0",
        "\ud800",
        "ü̈",
        "\u202e",
        "\n",
        "take 1",
        "Drums",
        "accepted",
        "score",
        "regenerate",
        "Kazoo",
        "९",
    ),
    *("[", "{}", "1-100000:1", "1:" * 50, "%s%n", "${HOME}", "<a>", "]]>", "\x1b[31m"),
)


def _odd(rng: random.Random, depth: int = 0) -> Any:
    kind = rng.randrange(10 if depth < 2 else 8)
    if kind < 4:
        return rng.choice(NUMBERS)
    if kind < 7:
        return rng.choice(TEXTS)
    if kind == 7:
        return rng.choice([None, True, False, [], {}, [[]], [None], {"": None}])
    if kind == 8:
        return [_odd(rng, depth + 1) for _ in range(rng.choice([1, 2, 3, 5, 300]))]
    return {rng.choice(TEXTS): _odd(rng, depth + 1) for _ in range(rng.randrange(4))}


def _places(data: Any) -> list[tuple[Any, Any]]:
    """Give every place in some data as what holds it and its key or number."""
    found: list[tuple[Any, Any]] = []
    left = [data]
    while left:
        value = left.pop()
        pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, each in pairs:
            found.append((value, key))
            left.append(each)
    return found


def _deep(rng: random.Random) -> Any:
    value: Any = _odd(rng)
    for _ in range(rng.choice([20, 200, 900])):
        value = [value] if rng.random() < 0.5 else {"a": value}
    return value


def damaged_json(data: bytes, rng: random.Random) -> bytes:
    """Give JSON with one to four values changed, moved, doubled or gone; now and then with broken bytes too."""
    root = [json.loads(data)]
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        places = _places(root)
        holder, key = rng.choice(places)
        other, another = rng.choice(places)
        match rng.randrange(9):
            case 0 if holder is not root:
                del holder[key]
            case 1:
                holder[key] = other[another] if not _holds(other[another], holder) else None
            case 2 if isinstance(holder, dict):
                holder[rng.choice(TEXTS)] = holder.pop(key)
            case 3 if isinstance(holder, list) and holder is not root:
                holder.extend([holder[key]] * rng.choice([1, 2, 500]))
            case 4 if rng.random() < 0.2:
                holder[key] = _deep(rng)
            case _:
                holder[key] = _odd(rng)
    text = json.dumps(root[0], ensure_ascii=rng.random() < 0.5, separators=rng.choice([None, (",", ":")]))
    made = text.encode("utf-8", "surrogatepass")
    if rng.random() < 0.05 and made.startswith(b"{"):
        made = made[:-1] + b"," + made[1:]  # every field twice
    if rng.random() < 0.03:
        made = made.replace(b"1", b"1" * rng.choice([30, 5000, 100_000]), 1)
    return damaged_bytes(made, rng) if rng.random() < 0.15 else made


def _holds(value: Any, part: Any) -> bool:
    return value is part or any(holder[key] is part for holder, key in _places(value))


def damaged_bytes(data: bytes, rng: random.Random) -> bytes:
    """Give data with bytes changed, doubled, moved or gone."""
    made = bytearray(data)
    for _ in range(rng.choice([1, 2, 8])):
        at, size = rng.randrange(len(made) + 1), rng.choice([1, 2, 16, 200])
        match rng.randrange(6):
            case 0:
                del made[at : at + size]
            case 1:
                made[at:at] = rng.randbytes(size)
            case 2:
                made[at:at] = made[at : at + size] * rng.choice([1, 50])
            case 3 if made:
                made[min(at, len(made) - 1)] = rng.randrange(256)
            case 4:
                del made[at:]
            case _:
                made[:0] = rng.choice([b"\xef\xbb\xbf", b"\xff\xfe", b"\0", b""])
    return bytes(made)


def _odd_toml(rng: random.Random, depth: int = 0) -> str:
    match rng.randrange(9):
        case 0 | 1:
            number = rng.choice(NUMBERS)
            return repr(number)
        case 2 | 3:
            return json.dumps(rng.choice(TEXTS), ensure_ascii=rng.random() < 0.5)
        case 4 if depth < 4:
            return f"[{', '.join(_odd_toml(rng, depth + 1) for _ in range(rng.choice([0, 1, 2, 40])))}]"
        case 5 if depth < 4:
            fields = (
                f"{rng.choice('abc')}{number} = {_odd_toml(rng, depth + 1)}" for number in range(rng.randrange(4))
            )
            return f"{{{', '.join(fields)}}}"
        case 6:
            return rng.choice(
                ["true", "1979-05-27T07:32:00Z", "07:32:00", "0x" + "f" * 300, "0b1", "'''x'''", "9" * 5000]
            )
        case 7:
            return rng.choice(["[" * 2000, "{a=" * 500, "a." * 3000, '"', "'''", "[1", "{"])
        case _:
            return rng.choice(
                ['"piano"', '"drums,bass"', '"1-4:1,9:0.3"', "0.7", "[80, 120]", '"../x"', "20", '"take"']
            )


def damaged_toml(text: str, rng: random.Random) -> bytes:
    """Give TOML with lines whose values are others, lines that are gone, doubled or moved, and broken bytes."""
    lines = text.splitlines()
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        at = rng.randrange(len(lines))
        match rng.randrange(8):
            case 0:
                lines.insert(rng.randrange(len(lines)), lines.pop(at))
            case 1:
                lines.insert(at, lines[at])
            case 2 if len(lines) > 3:
                del lines[at]
            case 3:
                lines.insert(at, f"{'.'.join(rng.choice('abc') for _ in range(rng.choice([1, 3, 60])))} = 1")
            case _ if "=" in lines[at]:
                lines[at] = f"{lines[at].partition('=')[0]}= {_odd_toml(rng)}"
    made = "\n".join(lines).encode("utf-8", "surrogatepass")
    return damaged_bytes(made, rng) if rng.random() < 0.15 else made
