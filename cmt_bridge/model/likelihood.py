"""Negative log-likelihood of events under an `EventTransformer`, event by event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from cmt_bridge.core.events import START, EventRows, Field
from cmt_bridge.model.event_network import Block, EventTransformer

__all__ = ["field_nll", "nll", "shared_nll"]

Heard = list[tuple[Tensor, Tensor]]
"""Keys and values (1, H, events, D) of each block."""


@torch.inference_mode()
def field_nll(network: EventTransformer, rows: EventRows) -> dict[Field, Tensor]:
    """Return the loss in nats of each field at each event (T) after the first; 0 where a field has no meaning."""
    events = torch.from_numpy(rows)[None]
    hidden, said = network(events[:, :-1]), events[:, 1:]
    return _losses(network, hidden, said, said[..., Field.PLACE] != START)


def nll(network: EventTransformer, rows: EventRows) -> npt.NDArray[np.float32]:
    """Return the loss in nats of each event (T) after the first, all its fields together."""
    total: npt.NDArray[np.float32] = torch.stack(list(field_nll(network, rows).values())).sum(0).numpy()
    return total


@torch.inference_mode()
def shared_nll(network: EventTransformer, versions: Sequence[EventRows], last: int) -> list[float]:
    """Return the loss in nats of the `last` events of some versions of the same music, one or more, summed up for each.

    Events that all versions begin with are fed once.
    """
    common = min(_common(versions), min(map(len, versions)) - last - 1)
    heard = _hear(network, torch.from_numpy(versions[0][:common])[None], 0, 1)[1] if common else None
    totals = []
    for rows in versions:
        events = torch.from_numpy(rows)[None]
        hidden, _ = _hear(network, events[:, :-1], common, last, heard)
        said = events[:, -last:]
        losses = _losses(network, hidden, said, said[..., Field.PLACE] != START)
        totals.append(sum(float(loss.sum()) for loss in losses.values()))
    return totals


def _common(versions: Sequence[EventRows]) -> int:
    """Return the number of events that all versions begin with."""
    length = min(map(len, versions))
    same = np.all([(rows[:length] == versions[0][:length]).all(1) for rows in versions], 0)
    return int(np.append(same, False).argmin())


def _hear(
    network: EventTransformer, events: Tensor, first: int, last: int, before: Heard | None = None
) -> tuple[Tensor, Heard]:
    """Feed events (1, T, fields) from the one numbered `first` on, behind keys and values of those before it.

    Returns the hidden states (1, last, W) of the last ones, and the keys and values of all.
    """
    length = events.shape[1]
    cos, sin = (part[:, :, first:] for part in network.places(events))
    audible = torch.ones(length - first, length, dtype=torch.bool).tril(first)
    x, heard = network.embed(events[:, first:]), []
    for number, block in enumerate(cast(Sequence[Block], network.blocks), 1):
        q, k, v = block.project(x, cos, sin)
        if before is not None:
            k, v = (torch.cat(parts, 2) for parts in zip(before[number - 1], (k, v), strict=True))
        if number == len(network.blocks):  # of what is not asked for, keys and values are enough
            x, q, audible = x[:, -last:], q[:, :, -last:], audible[-last:]
        x = block.combine(x, F.scaled_dot_product_attention(q, k, v, attn_mask=audible))
        heard.append((k, v))
    return network.norm(x), heard


def _losses(network: EventTransformer, hidden: Tensor, said: Tensor, counts: Tensor) -> dict[Field, Tensor]:
    losses = {}
    for field, where, values in network.field_losses(hidden, said, counts):
        losses[field] = torch.zeros(said.shape[1]).index_put((where,), values)
    return losses
