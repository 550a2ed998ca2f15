"""Which event ends which note: the one rule for all who read notes.

On a channel an end is that of the first note of its pitch to have begun among those that sound; an end of a pitch that
does not sound ends nothing. A note that nothing ends lasts until the next one of its pitch begins, or to the end of its
track, and not less long than those of its pitch before it: a drum machine leaves ends out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cmt_bridge.midi.events import NOTE_OFF, Event, releases, strikes

__all__ = ["Pair", "complete", "ends_of", "pairs"]

Numbers = npt.NDArray[np.int64]
Truths = npt.NDArray[np.bool_]

RELEASE = 64  # the velocity of an end that a file leaves out, as of keys that do not sense it


@dataclass(frozen=True, slots=True)
class Pair:
    """A note: the numbers of the events that begin and end it, `off` None where none does, and the tick of its end."""

    on: int
    off: int | None
    end: int


def ends_of(ticks: Numbers, keys: Numbers, begins: Truths, last: int) -> tuple[Numbers, Numbers]:
    """Return for each beginning the number of the event that ends it, -1 where none does, and the tick of its end.

    `ticks` are those of beginnings and ends in the order of a track, `keys` tell channel and pitch, `begins` which of
    both they are; `last` is the tick at which the track ends.
    """
    size = len(keys)
    order = np.argsort(keys.astype(np.int16), kind="stable")
    key, begun = keys[order], begins[order]
    heads = np.flatnonzero(np.append(True, key[1:] != key[:-1])) if size else np.zeros(0, np.int64)
    group = np.repeat(np.arange(len(heads)), np.diff(np.append(heads, size)))
    # How many more of a pitch have begun than ended; an end by which that is lower than ever before ends nothing.
    level = np.append(0, np.cumsum(np.where(begun, 1, -1)))
    level = level[1:] - level[heads][group]
    apart = group * (size + 1)
    lowest = np.minimum.accumulate(np.minimum(level, 0) - apart) + apart
    before = np.append(0, lowest[:-1])[:size]
    before[heads] = 0
    starts, ends = np.flatnonzero(begun), np.flatnonzero(~begun & (lowest == before))

    def place(some: Numbers) -> Numbers:
        """Return the pitch of each, and which of that pitch it is, as one number."""
        return apart[some] + np.arange(len(some)) - np.searchsorted(some, heads)[group[some]]

    off = np.full(len(starts), -1)
    off[np.searchsorted(place(starts), place(ends))] = order[ends]
    # What nothing ends: the last ones of a pitch. Each lasts to the next, but not less long than those before it.
    following = np.append(ticks[order[starts]][1:], last)[: len(starts)]
    following[np.flatnonzero(np.diff(group[starts]))] = last
    end = np.where(off < 0, following, ticks[off])
    far = group[starts] * (max(last, 0) + 1)
    end = np.maximum.accumulate(end + far) - far
    back = np.argsort(order[starts], kind="stable")
    return off[back], end[back]


def pairs(events: Sequence[Event]) -> list[Pair]:
    """Return the notes of a track, whose last event ends it, in the order in which they begin."""
    numbers = [number for number, (_, message) in enumerate(events) if strikes(message) or releases(message)]
    messages = [events[number][1] for number in numbers]
    begins = np.array([strikes(message) for message in messages], bool)
    off, end = ends_of(
        np.array([events[number][0] for number in numbers], np.int64),
        np.array([(message[0] & 0xF) << 7 | message[1] for message in messages], np.int64),
        begins,
        events[-1][0] if events else 0,
    )
    on = np.flatnonzero(begins).tolist()
    return [
        Pair(numbers[begun], numbers[ended] if ended >= 0 else None, tick)
        for begun, ended, tick in zip(on, off.tolist(), end.tolist(), strict=True)
    ]


def complete(events: Sequence[Event]) -> list[Event]:
    """Return the events of a track with the ends that it leaves out; `pairs` has the same notes after that."""
    missing = [pair for pair in pairs(events) if pair.off is None]
    if not missing:
        return list(events)
    ranked = [(tick, 1, message) for tick, message in events]
    for pair in missing:
        start, struck = events[pair.on]
        end = bytes((NOTE_OFF | struck[0] & 0xF, struck[1], RELEASE))
        ranked.append((pair.end, 0 if pair.end > start else 1, end))
    last = ranked.pop(len(events) - 1)
    return [(tick, message) for tick, _, message in (*sorted(ranked, key=lambda each: each[:2]), last)]
