"""The processes that train together: this one's place among them, and what they say to each other."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from cmt_bridge.training.device import find_device

__all__ = ["ProcessGroup", "join"]

LOOPBACK = "lo0" if sys.platform == "darwin" else "lo"
PATIENCE = timedelta(hours=1)  # that others wait while the first measures and composes


@dataclass(frozen=True, slots=True)
class ProcessGroup:
    """Process `rank` of `size`, training on `device`; the first writes and talks for all."""

    device: torch.device
    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and talks."""
        return self.rank == 0

    def sum(self, *values: float) -> list[float]:
        """Add up each value over all processes."""
        if self.size == 1:
            return list(values)
        device = self.device if self.device.type == "cuda" else torch.device("cpu")
        total = torch.tensor(values, dtype=torch.float64, device=device)
        dist.all_reduce(total)
        return [float(value) for value in total]

    def gather(self, value: Any) -> list[Any]:
        """Return every process's value to the first; the others get an empty list."""
        if self.size == 1:
            return [value]
        values: list[Any] | None = [None] * self.size if self.first else None
        dist.gather_object(value, values)
        return values or []

    def share(self, network: nn.Module) -> nn.Module:
        """Wrap a network so that backward gives the mean gradients of all processes; all get the first's weights."""
        if self.size == 1:
            return network
        return DistributedDataParallel(network, broadcast_buffers=False)

    def leave(self) -> None:
        """Take leave of the others."""
        if self.size > 1:
            dist.destroy_process_group()


def join(device: str) -> ProcessGroup:
    """Meet the other processes that `torchrun` started; alone there are none.

    On GPUs they talk by nccl, else by gloo, over the loopback where all run on this machine.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    found = find_device(device, int(os.environ.get("LOCAL_RANK", "0")))
    if size == 1:
        return ProcessGroup(found)
    if int(os.environ.get("LOCAL_WORLD_SIZE", "0")) == size:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", LOOPBACK)
    if found.type == "cuda":
        torch.cuda.set_device(found)
    dist.init_process_group("nccl" if found.type == "cuda" else "gloo", timeout=PATIENCE)
    return ProcessGroup(found, dist.get_rank(), dist.get_world_size())
