"""The key-value cache of candidates.

Where candidates go on from the same music, its keys and values are kept once: a step of all of them reads them once,
and nothing of them is copied when a candidate ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cmt_bridge.core.events import EventRows

__all__ = ["KVCache", "SharedPrefix", "joined_caches"]


@dataclass(frozen=True)
class SharedPrefix:
    """The events that candidates have in common, in order and without the start word.

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
class KVCache:
    """Keys, values and hidden states of candidates.

    `keys` and `values` (L, B, H, window, D), turned to their places: the start word in slot 0, the others share the
    rest in turn, but for those that are `shared`. `starts` (L, B, H, D), the start word's keys, not turned; `positions`
    (B, window) in ticks; `rows` (B), their rows in products; `count` (B) of events, the shared ones included; `hidden`
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
    shared: SharedPrefix | None = None

    @property
    def window(self) -> int:
        """The number of events that are attended to."""
        return self.keys.shape[3]

    @property
    def own_start(self) -> int:
        """The number of the first event, but for the start word, that is not shared."""
        return 1 if self.shared is None else self.shared.end

    def slots(self, events: Tensor) -> Tensor:
        """Return the slots of events, by their numbers."""
        return torch.where(events > 0, 1 + (events - self.own_start) % (self.window - 1), 0)

    def filled(self) -> Tensor:
        """Return the number of slots (B) that hold an event."""
        return torch.where(self.count > 0, self.count - self.own_start + 1, 0).clamp_max(self.window)

    def oldest(self) -> Tensor:
        """Return the number (B) of the oldest event, but for the start word, that is still in the window."""
        return (self.count - self.window + 1).clamp_min(1)

    def position(self, events: Tensor) -> Tensor:
        """Return the positions (B) in ticks of an event of each candidate."""
        own = self.positions[torch.arange(len(events)), self.slots(events)]
        if self.shared is None:
            return own
        place = (events - self.shared.first).clamp(0, len(self.shared.positions) - 1)
        return torch.where(events < self.own_start, self.shared.positions[place], own)

    def shared_window(self) -> tuple[Tensor, Tensor] | None:
        """Return the shared keys and values (L, H, events, D) that are still in the window; None where none are."""
        if self.shared is None:
            return None
        forgotten = max(0, int(self.oldest()[0]) - self.shared.first)  # by all: they have as many events
        if forgotten >= len(self.shared.positions):
            return None
        return self.shared.keys[:, :, forgotten:], self.shared.values[:, :, forgotten:]

    def select(self, places: Sequence[int]) -> KVCache:
        """Return a copy with the candidates at some places only."""
        index, filled = torch.tensor(places, dtype=torch.long), int(self.filled().max()) if len(self.count) else 0
        keys, values = (m.new_zeros(m.shape[0], len(places), *m.shape[2:]) for m in (self.keys, self.values))
        for new, old in enumerate(places):  # what is empty is not copied
            keys[:, new, :, :filled] = self.keys[:, old, :, :filled]
            values[:, new, :, :filled] = self.values[:, old, :, :filled]
        return KVCache(
            keys,
            values,
            self.starts[:, index],
            self.positions[index],
            self.rows[index],
            self.count[index],
            self.hidden[index],
            self.heads[list(places)],
            self.shared,
        )

    def fork(self, rows: Sequence[int]) -> KVCache:
        """Return candidates that go on from the only one of this cache, which shares nothing yet; `rows` are theirs in
        products.
        """
        count, end = len(rows), int(self.count[0])
        slots = self.slots(torch.arange(max(1, end - self.window + 1), end))
        heard = self.keys[:, 0, :, slots], self.values[:, 0, :, slots], self.positions[0, slots]
        keys, values = (m.new_zeros(m.shape[0], count, *m.shape[2:]) for m in (self.keys, self.values))
        values[:, :, :, 0] = self.values[:, :, :, 0]
        return KVCache(
            keys,
            values,
            self.starts.repeat(1, count, 1, 1),
            self.positions[:, :1] * self.positions.new_ones(count, self.window),
            torch.tensor(rows, dtype=torch.long),
            self.count.repeat(count),
            self.hidden.repeat(count, 1),
            self.heads.repeat(count, 0),
            SharedPrefix(*heard, end) if len(slots) else None,
        )

    def alone(self, place: int) -> KVCache:
        """Return a copy of one candidate that shares nothing with others."""
        cache = self.select([place])
        if self.shared is None:
            return cache
        alone = KVCache(
            self.keys.new_zeros(cache.keys.shape),
            self.values.new_zeros(cache.values.shape),
            cache.starts,
            cache.positions[:, :1].repeat(1, self.window),
            cache.rows,
            cache.count,
            cache.hidden,
            cache.heads,
        )
        end = int(cache.count[0])
        events = torch.arange(max(1, end - self.window + 1), end)
        shared, own = events[events < self.own_start], events[events >= self.own_start]
        for new, common, old in (
            (alone.keys, self.shared.keys, cache.keys),
            (alone.values, self.shared.values, cache.values),
        ):
            new[:, 0, :, 0] = old[:, 0, :, 0]
            new[:, 0, :, alone.slots(shared)] = common[:, :, shared - self.shared.first]
            new[:, 0, :, alone.slots(own)] = old[:, 0, :, cache.slots(own)]
        alone.positions[0, alone.slots(shared)] = self.shared.positions[shared - self.shared.first]
        alone.positions[0, alone.slots(own)] = cache.positions[0, cache.slots(own)]
        return alone


def joined_caches(caches: Sequence[KVCache]) -> KVCache:
    """Return the candidates of several caches, which share nothing, as one cache."""
    return KVCache(
        torch.cat([m.keys for m in caches], 1),
        torch.cat([m.values for m in caches], 1),
        torch.cat([m.starts for m in caches], 1),
        torch.cat([m.positions for m in caches]),
        torch.cat([m.rows for m in caches]),
        torch.cat([m.count for m in caches]),
        torch.cat([m.hidden for m in caches]),
        np.concatenate([m.heads for m in caches]),
    )
