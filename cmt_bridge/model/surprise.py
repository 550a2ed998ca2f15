"""How much of a surprise events are to a composer: its losses, event by event."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cmt_bridge.core.events import START, EventRows, Field
from cmt_bridge.model.composer import Composer

__all__ = ["field_surprises", "surprises"]


@torch.inference_mode()
def field_surprises(network: Composer, rows: EventRows) -> dict[Field, Tensor]:
    """Give the loss in nats of each field at each event (T) after the first; 0 where a field is not said."""
    events = torch.from_numpy(rows)[None]
    hidden, said = network(events[:, :-1]), events[:, 1:]
    losses = {}
    for field, where, values in network.field_losses(hidden, said, said[..., Field.PLACE] != START):
        losses[field] = torch.zeros(said.shape[1]).index_put((where,), values)
    return losses


def surprises(network: Composer, rows: EventRows) -> npt.NDArray[np.float32]:
    """Give the loss in nats of each event (T) after the first, all its fields together."""
    total: npt.NDArray[np.float32] = torch.stack(list(field_surprises(network, rows).values())).sum(0).numpy()
    return total
