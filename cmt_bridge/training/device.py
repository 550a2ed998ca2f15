"""Devices: which one to train on, how fast it multiplies, and its dice."""

from __future__ import annotations

import ctypes
import sys
import time
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from cmt_bridge.errors import UsageError

__all__ = [
    "autocast",
    "find_device",
    "keep_memory",
    "multiplied_weights",
    "product_speed",
    "random_states",
    "restore_random_states",
    "use_bf16",
]

MEASURED_SECONDS = 0.3
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of glibc's mallopt
MOST_KEPT = 2**31 - 1


def find_device(name: str, number: int = 0) -> torch.device:
    """Return the device of a name; `auto` is the first of cuda, mps and cpu that is there. `number` counts GPUs.

    Raises `UsageError` where the machine has no such device.
    """
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == "auto":
        name = "cuda" if cuda else "mps" if mps else "cpu"
    if (name == "cuda" and not cuda) or (name == "mps" and not mps):
        raise UsageError(f"This machine has no {name} device that torch can use.", hint="Use --device auto.")
    if name != "cuda":
        return torch.device(name)
    if number >= torch.cuda.device_count():
        raise UsageError(f"There is no GPU {number}.", hint=f"Start {torch.cuda.device_count()} processes at most.")
    return torch.device("cuda", number)


def use_bf16(device: torch.device, wish: bool | None) -> bool:
    """Return whether to multiply in bfloat16: as wished, else on GPUs that are fast at it."""
    if wish is not None:
        return wish
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def autocast(device: torch.device, bf16: bool) -> AbstractContextManager[object]:
    """Return the context in which products are made in bfloat16, or as they are."""
    return torch.autocast(device.type, torch.bfloat16, enabled=bf16)


def keep_memory() -> None:
    """Have glibc keep what is freed for the next step, not give it back and clear it anew: a tenth of a step."""
    if sys.platform == "linux":
        try:
            mallopt = ctypes.CDLL(None).mallopt
        except (OSError, AttributeError):  # another C library
            return
        for parameter, value in ((MMAP_THRESHOLD, 2**30), (TRIM_THRESHOLD, MOST_KEPT)):
            mallopt(parameter, value)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def multiplied_weights(network: nn.Module) -> int:
    """Return the number of weights that each word is multiplied with: all matrices but the embedding tables."""
    tables = {id(module.weight) for module in network.modules() if isinstance(module, nn.Embedding)}
    return sum(weight.numel() for weight in network.parameters() if weight.ndim > 1 and id(weight) not in tables)


def product_speed(network: nn.Module, words: int, device: torch.device, bf16: bool) -> float:
    """Measure the FLOP/s that a device reaches in the network's largest product, of `words` rows, as training does."""
    shapes = [tuple(m.weight.shape) for m in network.modules() if isinstance(m, nn.Linear)] or [(512, 512)]
    wide, deep = max(shapes, key=lambda shape: shape[0] * shape[1])
    kind = torch.bfloat16 if bf16 else torch.float32
    left, right = torch.ones(words, deep, dtype=kind, device=device), torch.ones(deep, wide, dtype=kind, device=device)
    best, until = float("inf"), time.perf_counter() + MEASURED_SECONDS
    for repeats in (1, 1, *[4] * 1000):
        start = time.perf_counter()
        for _ in range(repeats):
            left @ right
        _wait(device)
        best = min(best, (time.perf_counter() - start) / repeats)
        if time.perf_counter() > until:
            break
    return 2.0 * words * deep * wide / best


def random_states(device: torch.device) -> list[Tensor]:
    """Return the state of torch's random numbers on the processor and on a device."""
    states = [torch.get_rng_state()]
    if device.type == "cuda":
        states.append(torch.cuda.get_rng_state(device))
    elif device.type == "mps":
        states.append(torch.mps.get_rng_state())
    return states


def restore_random_states(states: list[Tensor], device: torch.device) -> None:
    """Go on with random numbers from where `dice` was called; on another kind of device only the processor's."""
    torch.set_rng_state(states[0])
    if len(states) > 1 and device.type == "cuda":
        torch.cuda.set_rng_state(states[1], device)
    elif len(states) > 1 and device.type == "mps":
        torch.mps.set_rng_state(states[1])
