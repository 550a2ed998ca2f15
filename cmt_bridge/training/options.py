"""The options of a training."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cmt_bridge.errors import UsageError

__all__ = ["DEVICES", "OPTIMIZERS", "TrainingOptions"]

OPTIMIZERS = ("adamw", "muon")
DEVICES = ("auto", "cpu", "cuda", "mps")
FALL = 0.6  # the last share of the steps, over which the rate falls
LOWEST_RATE = 0.05  # of the learning rate, at the end of it


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """How to train: `batch` crops of `length` words a step and process.

    The rate rises over `warmup` steps to `learning_rate`, stays there, and falls in a line over the last `FALL` of the
    steps, so that until then a training may still be made longer. Gradients are clipped to the norm
    `clip`, 0 for never. Every `every` steps the held-out loss is measured, `samples` pieces are written and the state
    is saved; after `patience` of these without a better loss the training ends, 0 for never. `ema` is the decay of the
    averaged weights that are measured and kept, 0 for the last weights. `bf16` is None for where it is fast.
    """

    network: str = "composer"
    size: str = "small"
    steps: int = 4000
    batch: int = 4
    length: int = 768
    optimizer: str = "muon"
    learning_rate: float = 4e-3
    warmup: int = 50
    weight_decay: float = 0.01
    clip: float = 1.0
    ema: float = 0.999
    every: int = 200
    patience: int = 10
    samples: int = 0
    seed: int = 0
    device: str = "auto"
    bf16: bool | None = None

    def __post_init__(self) -> None:
        if min(self.steps, self.batch, self.length, self.every) < 1:
            raise UsageError("Steps, batch, length and the steps between evaluations must be 1 or more.")
        if not 0.0 < self.learning_rate < math.inf:
            raise UsageError("The learning rate must be above 0.", hint="0.001 is usual.")
        if min(self.warmup, self.patience, self.samples, self.seed) < 0 or not min(self.clip, self.weight_decay) >= 0.0:
            raise UsageError("Warm-up, patience, samples, seed, clipping and weight decay cannot be below 0.")
        if not 0.0 <= self.ema < 1.0:
            raise UsageError("The decay of the averaged weights must be 0 or more and below 1.", hint="0.999 is usual.")
        for kind, value, known in (("optimizer", self.optimizer, OPTIMIZERS), ("device", self.device, DEVICES)):
            if value not in known:
                raise UsageError(f"There is no {kind} {value}.", hint=f"Choose one of {', '.join(known)}.")

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, from 0."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        ahead = max(0.0, 1 - step / self.steps)
        return self.learning_rate * (LOWEST_RATE + (1 - LOWEST_RATE) * min(1.0, ahead / FALL))
