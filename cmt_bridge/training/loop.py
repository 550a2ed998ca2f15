"""The training loop: seeded, resumable, honest about what is held out."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from cmt_bridge.core.files import complete_path
from cmt_bridge.core.tokens import Column
from cmt_bridge.errors import CheckpointError, UsageError
from cmt_bridge.model.checkpoint import save_network
from cmt_bridge.model.network import Network, NetworkConfig
from cmt_bridge.training.batches import Batch, Sampler, evaluation_batches
from cmt_bridge.training.corpus import Corpus

__all__ = ["SIZES", "TrainingOptions", "held_out_losses", "train"]

SIZES: dict[str, NetworkConfig] = {
    "paper": NetworkConfig(),
    "small": NetworkConfig(
        layers=6,
        heads=8,
        width=256,
        feed_forward=1024,
        embeddings=(32, 16, 32, 192, 64, 16, 32),
        timing_embedding=64,
        initial_embedding=32,
        position_period=4096,
    ),
    "tiny": NetworkConfig(
        layers=2,
        heads=2,
        width=32,
        feed_forward=64,
        embeddings=(8, 8, 8, 16, 8, 8, 8),
        timing_embedding=8,
        initial_embedding=8,
        position_period=4096,
    ),
}
DEFAULT_PERIOD = 4096  # ticks; the room that crops are laid in where positions do not wrap
RESUME = "resume.pt"


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """How to train: `batch` crops of `length` words a step; `warmup` steps up to `learning_rate`, then a cosine.

    Every `every` steps the held-out loss is measured and the state saved.
    """

    size: str = "small"
    steps: int = 4000
    batch: int = 8
    length: int = 768
    learning_rate: float = 1e-3
    warmup: int = 200
    every: int = 200
    weight_decay: float = 0.01
    clip: float = 1.0
    seed: int = 0
    bf16: bool = False

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise UsageError(f"There is no size {self.size}.", hint=f"Choose one of {', '.join(SIZES)}.")
        if min(self.steps, self.batch, self.length, self.every) < 1 or not self.learning_rate > 0:
            raise UsageError("Steps, batch, length and learning rate must be above 0.")

    def rate(self, step: int) -> float:
        """Give the learning rate of a step, from 0."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        share = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.learning_rate * (0.1 + 0.45 * (1 + math.cos(math.pi * min(1.0, share))))


def _loss(network: Network, batch: Batch) -> dict[Column, Tensor]:
    hidden = network(batch.rows, batch.initial)
    first = batch.initial.shape[1] - 1
    return network.losses(hidden[:, first:-1], batch.rows, batch.mask)


@torch.no_grad()
def held_out_losses(network: Network, batches: list[Batch]) -> dict[Column, float]:
    """Give the loss in nats per word of every column over fixed batches."""
    network.eval()
    totals: dict[Column, float] = dict.fromkeys(sorted((*Column,))[:7], 0.0)
    words = 0.0
    for batch in batches:
        count = float(batch.mask.sum())
        words += count
        for column, loss in _loss(network, batch).items():
            totals[column] += loss.item() * count
    network.train()
    return {column: total / words for column, total in totals.items()}


def train(
    corpus: Corpus,
    folder: Path,
    options: TrainingOptions,
    *,
    save: bool = True,
    record: dict[str, Any] | None = None,
    tell: Callable[[str], None] = print,
) -> Path | None:
    """Train a network; give the file of its best held-out loss, or None where nothing is saved.

    `folder` holds `resume.pt` to go on from after a stop, `log.jsonl` with the curve, and `loss_N.safetensors` named
    after the held-out loss per word in nats. The same corpus and options give the same curve, stopped or not;
    only `steps` may change on the way.
    """
    torch.manual_seed(options.seed)
    config = replace(SIZES[options.size], memory=options.length)
    network = Network(config).train()
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay, betas=(0.9, 0.98)
    )
    period = config.position_period or DEFAULT_PERIOD
    sampler = Sampler(corpus.training, batch=options.batch, length=options.length, period=period, seed=options.seed)
    fixed = evaluation_batches(corpus.held_out or corpus.training, batch=options.batch, length=options.length, count=12)
    step, seconds, best = 0, 0.0, math.inf
    best_file: Path | None = None
    if save and (folder / RESUME).is_file():
        step, seconds, best, name = _resume(folder / RESUME, network, optimizer, sampler, options)
        best_file = folder / name if name else None
        tell(f"resuming at step {step}")
    started, words = time.monotonic() - seconds, 0
    tell(f"{len(corpus.training)} pieces to learn from, {len(corpus.held_out)} held out")
    while step < options.steps:
        mark = time.monotonic()
        for group in optimizer.param_groups:
            group["lr"] = options.rate(step)
        batch = sampler.draw()
        with torch.autocast("cpu", torch.bfloat16, enabled=options.bf16):
            loss = torch.stack(list(_loss(network, batch).values())).sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), options.clip)
        optimizer.step()
        step += 1
        words = int(batch.mask.sum())
        if step % 20 == 0:
            pace = words / (time.monotonic() - mark)
            tell(f"step {step}: loss {loss.item():.3f} nats per word, {pace:.0f} words/s")
        if step % options.every == 0 or step == options.steps:
            losses = held_out_losses(network, fixed)
            total = sum(losses.values())
            seconds = time.monotonic() - started
            tell(f"step {step}: held-out loss {total:.4f} nats per word after {seconds / 60:.1f} min")
            if not save:
                continue
            line = {"step": step, "seconds": round(seconds, 1), "loss": loss.item(), "held_out": total}
            line |= {f"held_out_{column.name.lower()}": value for column, value in losses.items()}
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / "log.jsonl").open("a", encoding="utf-8") as log:
                log.write(json.dumps(line) + "\n")
            if total < best:
                old, best = best_file, total
                best_file = folder / f"loss_{total:.4f}.safetensors"
                full = {**(record or {}), "options": asdict(options), **line}
                save_network(network, best_file, record=full, half=True)
                if old is not None and old != best_file:
                    old.unlink(missing_ok=True)
            _save(folder / RESUME, network, optimizer, sampler, options, (step, seconds, best, best_file))
    return best_file


def _save(
    path: Path,
    network: Network,
    optimizer: torch.optim.Optimizer,
    sampler: Sampler,
    options: TrainingOptions,
    progress: tuple[int, float, float, Path | None],
) -> None:
    step, seconds, best, best_file = progress
    state = {
        "options": asdict(options),
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "sampler": json.dumps(sampler.generator.bit_generator.state),
        "torch": torch.get_rng_state(),
        "step": step,
        "seconds": seconds,
        "best": best,
        "best_file": best_file.name if best_file else "",
    }
    with complete_path(path) as temporary:
        torch.save(state, temporary)


def _resume(
    path: Path, network: Network, optimizer: torch.optim.Optimizer, sampler: Sampler, options: TrainingOptions
) -> tuple[int, float, float, str]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if {**state["options"], "steps": options.steps} != asdict(options):
            raise UsageError(
                f"{path.parent} was trained with other options.", hint="Choose another name, or the same options."
            )
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        sampler.generator.bit_generator.state = json.loads(state["sampler"])
        torch.set_rng_state(state["torch"])
        return int(state["step"]), float(state["seconds"]), float(state["best"]), str(state["best_file"])
    except (KeyError, RuntimeError, ValueError, OSError, EOFError, UnpicklingError) as error:
        raise CheckpointError(f"{path} is damaged.", hint="Choose another name with -n.") from error
