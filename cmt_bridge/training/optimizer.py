"""Optimizers: AdamW, or Muon for the matrices of the layers and AdamW for the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from cmt_bridge.errors import UsageError
from cmt_bridge.training.options import TrainingOptions

__all__ = ["Average", "Optimizer", "make_optimizer"]

BETAS = (0.9, 0.98)
LAYERS = ("layers.", "blocks.")  # what names of parameters of layers begin with
FUSED = ("cpu", "cuda")  # devices with an AdamW that reads each weight once
AVERAGED_AT_FIRST = 10  # evens out the start of an average: after n updates its decay is at most (1 + n) / (10 + n)


class Optimizer:
    """Optimizers that share one learning rate and step together."""

    def __init__(self, parts: Sequence[torch.optim.Optimizer]) -> None:
        self.parts = parts

    def step(self, rate: float) -> None:
        """Update the weights at a learning rate, and forget the gradients."""
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = rate
            part.step()
        self.forget()

    def forget(self) -> None:
        """Drop the gradients."""
        for part in self.parts:
            part.zero_grad(set_to_none=True)

    def state(self) -> list[dict[str, Any]]:
        """Return all that `resume` needs."""
        return [part.state_dict() for part in self.parts]

    def resume(self, states: Sequence[dict[str, Any]]) -> None:
        """Go on from where `state` was called."""
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)


def make_optimizer(network: nn.Module, options: TrainingOptions) -> Optimizer:
    """Return the optimizer of the options for a network on its device.

    Muon (Jordan et al. 2024) makes the update of a matrix orthogonal; scaled as in Liu et al. 2025, it shares learning
    rate and weight decay with AdamW. Raises `UsageError` where torch is too old for it.
    """
    parameters = dict(network.named_parameters())
    if options.optimizer == "adamw":
        return Optimizer([_adamw(list(parameters.values()), options)])
    if not hasattr(torch.optim, "Muon"):
        raise UsageError(
            f"Muon needs torch 2.9 or newer; this is {torch.__version__}.", hint="Use --optimizer adamw, or update it."
        )
    matrices = {name for name, weight in parameters.items() if weight.ndim == 2 and name.startswith(LAYERS)}
    if not matrices:
        raise UsageError("The network has no matrices in layers for Muon.", hint="Use --optimizer adamw.")
    muon = torch.optim.Muon(
        [parameters[name] for name in parameters if name in matrices],
        lr=options.learning_rate,
        weight_decay=options.weight_decay,
        adjust_lr_fn="match_rms_adamw",
    )
    return Optimizer([muon, _adamw([weight for name, weight in parameters.items() if name not in matrices], options)])


def _adamw(weights: list[nn.Parameter], options: TrainingOptions) -> torch.optim.Optimizer:
    return torch.optim.AdamW(
        weights,
        lr=options.learning_rate,
        weight_decay=options.weight_decay,
        betas=BETAS,
        fused=all(weight.device.type in FUSED for weight in weights),
    )


class Average:
    """An exponential moving average of a network's weights: `network` is a copy that follows `source`."""

    def __init__(self, source: nn.Module, copy: nn.Module, decay: float) -> None:
        self.network = copy.eval().requires_grad_(False)
        self.decay = decay
        self._averages = [weight.detach() for weight in copy.parameters()]
        self._weights = [weight.detach() for weight in source.parameters()]

    @torch.no_grad()
    def update(self, count: int) -> None:
        """Take in the weights after `count` updates of them, from 1."""
        decay = min(self.decay, (1 + count) / (AVERAGED_AT_FIRST + count))
        torch._foreach_lerp_(self._averages, self._weights, 1.0 - decay)
