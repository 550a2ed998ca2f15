"""What candidates have heard, as the composer's keys and values.

Where candidates go on from the same music, it is kept once: a step of all of them reads it once, and nothing of it is
copied when one of them ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cmt_bridge.core.events import EventRows

__all__ = ["Common", "Mind", "joined"]


@dataclass(frozen=True)
class Common:
    """What candidates heard before they parted, in order and without the start word.

    `keys` and `values` (L, H, events, D), `positions` (events) in ticks; `end` is the number of the event after the
    last, counted from the start word's 0.
    """

    keys: Tensor
    values: Tensor
    positions: Tensor
    end: int

    @property
    def first(self) -> int:
        """The number of the first event."""
        return self.end - len(self.positions)


@dataclass
class Mind:
    """What candidates have heard.

    `keys` and `values` (L, B, H, window, D), turned to their places: the start word in slot 0, the others share the
    rest in turn, but for those that are `common`. `starts` (L, B, H, D), the start word's keys, not turned; `positions`
    (B, window) in ticks; `rows` (B), their rows in products; `count` (B) of events, the common ones included; `hidden`
    (B, W); `heads` (B, fields), the events that began the open simu-notes.
    """

    keys: Tensor
    values: Tensor
    starts: Tensor
    positions: Tensor
    rows: Tensor
    count: Tensor
    hidden: Tensor
    heads: EventRows
    common: Common | None = None

    @property
    def window(self) -> int:
        """How many events are heard at once."""
        return self.keys.shape[3]

    @property
    def apart(self) -> int:
        """The number of the first event, but for the start word, that is not common."""
        return 1 if self.common is None else self.common.end

    def slots(self, events: Tensor) -> Tensor:
        """Give the slots of events, by their numbers."""
        return torch.where(events > 0, 1 + (events - self.apart) % (self.window - 1), 0)

    def filled(self) -> Tensor:
        """Give the number of slots (B) that hold an event."""
        return torch.where(self.count > 0, self.count - self.apart + 1, 0).clamp_max(self.window)

    def oldest(self) -> Tensor:
        """Give the number (B) of the oldest event, but for the start word, that is still heard."""
        return (self.count - self.window + 1).clamp_min(1)

    def position(self, events: Tensor) -> Tensor:
        """Give the positions (B) in ticks of an event of each candidate."""
        own = self.positions[torch.arange(len(events)), self.slots(events)]
        if self.common is None:
            return own
        place = (events - self.common.first).clamp(0, len(self.common.positions) - 1)
        return torch.where(events < self.apart, self.common.positions[place], own)

    def in_common(self) -> tuple[Tensor, Tensor] | None:
        """Give the common keys and values (L, H, events, D) of what is still heard; None where nothing is."""
        if self.common is None:
            return None
        forgotten = max(0, int(self.oldest()[0]) - self.common.first)  # by all: they have heard as many events
        if forgotten >= len(self.common.positions):
            return None
        return self.common.keys[:, :, forgotten:], self.common.values[:, :, forgotten:]

    def at(self, places: Sequence[int]) -> Mind:
        """Give a copy with the candidates at some places only."""
        index, filled = torch.tensor(places, dtype=torch.long), int(self.filled().max()) if len(self.count) else 0
        keys, values = (m.new_zeros(m.shape[0], len(places), *m.shape[2:]) for m in (self.keys, self.values))
        for new, old in enumerate(places):  # what is empty is not copied
            keys[:, new, :, :filled] = self.keys[:, old, :, :filled]
            values[:, new, :, :filled] = self.values[:, old, :, :filled]
        return Mind(
            keys,
            values,
            self.starts[:, index],
            self.positions[index],
            self.rows[index],
            self.count[index],
            self.hidden[index],
            self.heads[list(places)],
            self.common,
        )

    def parted(self, rows: Sequence[int]) -> Mind:
        """Give candidates, by their rows, that go on from what one has heard, which has nothing in common with others
        yet.
        """
        count, end = len(rows), int(self.count[0])
        slots = self.slots(torch.arange(max(1, end - self.window + 1), end))
        heard = self.keys[:, 0, :, slots], self.values[:, 0, :, slots], self.positions[0, slots]
        keys, values = (m.new_zeros(m.shape[0], count, *m.shape[2:]) for m in (self.keys, self.values))
        values[:, :, :, 0] = self.values[:, :, :, 0]
        return Mind(
            keys,
            values,
            self.starts.repeat(1, count, 1, 1),
            self.positions[:, :1] * self.positions.new_ones(count, self.window),
            torch.tensor(rows, dtype=torch.long),
            self.count.repeat(count),
            self.hidden.repeat(count, 1),
            self.heads.repeat(count, 0),
            Common(*heard, end) if len(slots) else None,
        )

    def alone(self, place: int) -> Mind:
        """Give a copy of one candidate that has nothing in common with others."""
        mind = self.at([place])
        if self.common is None:
            return mind
        alone = Mind(
            self.keys.new_zeros(mind.keys.shape),
            self.values.new_zeros(mind.values.shape),
            mind.starts,
            mind.positions[:, :1].repeat(1, self.window),
            mind.rows,
            mind.count,
            mind.hidden,
            mind.heads,
        )
        end = int(mind.count[0])
        events = torch.arange(max(1, end - self.window + 1), end)
        shared, own = events[events < self.apart], events[events >= self.apart]
        for new, common, old in (
            (alone.keys, self.common.keys, mind.keys),
            (alone.values, self.common.values, mind.values),
        ):
            new[:, 0, :, 0] = old[:, 0, :, 0]
            new[:, 0, :, alone.slots(shared)] = common[:, :, shared - self.common.first]
            new[:, 0, :, alone.slots(own)] = old[:, 0, :, mind.slots(own)]
        alone.positions[0, alone.slots(shared)] = self.common.positions[shared - self.common.first]
        alone.positions[0, alone.slots(own)] = mind.positions[0, mind.slots(own)]
        return alone


def joined(minds: Sequence[Mind]) -> Mind:
    """Give the candidates of several minds, which have nothing in common, as one."""
    return Mind(
        torch.cat([m.keys for m in minds], 1),
        torch.cat([m.values for m in minds], 1),
        torch.cat([m.starts for m in minds], 1),
        torch.cat([m.positions for m in minds]),
        torch.cat([m.rows for m in minds]),
        torch.cat([m.count for m in minds]),
        torch.cat([m.hidden for m in minds]),
        np.concatenate([m.heads for m in minds]),
    )
