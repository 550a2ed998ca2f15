"""The training loop: seeded, resumable, honest about what is held out; it knows nothing of the network it trains.

What a training leaves behind is true at any moment, whenever it is killed. `resume.pt` comes first and is complete or
the one before; checkpoint and log lines follow from it, and are put right when the training goes on.
"""

from __future__ import annotations

import copy
import json
import math
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from types import FrameType, TracebackType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cmt_bridge.core.files import complete_path
from cmt_bridge.errors import CheckpointError, CmtBridgeError, UsageError
from cmt_bridge.outputs.midi import write_midi
from cmt_bridge.training.device import (
    autocast,
    keep_memory,
    multiplied_weights,
    product_speed,
    random_states,
    restore_random_states,
    use_bf16,
)
from cmt_bridge.training.optimizer import Average, make_optimizer
from cmt_bridge.training.options import TrainingOptions
from cmt_bridge.training.process_group import ProcessGroup
from cmt_bridge.training.recipe import Batch, Recipe
from cmt_bridge.training.training_log import TrainingLog

__all__ = ["RESUME", "Training", "held_out_losses", "train"]

RESUME, SAMPLES = "resume.pt", "samples"
TOLD_EVERY = 20  # steps
MOST_BROKEN = 10  # steps in a row whose loss is not a number
FREE = ("steps", "patience", "samples", "device", "bf16")  # options that may change when a training goes on
FLOP_PER_WEIGHT = 6  # and word: a product and a sum forward, twice that backward (Kaplan et al. 2020, section 2.1)


@torch.no_grad()
def held_out_losses(
    network: nn.Module,
    batches: Sequence[Batch],
    losses: Callable[[Any, Any], Mapping[str, Tensor]],
    device: torch.device | str = "cpu",
) -> dict[str, float]:
    """Return the loss in nats per word of every attribute over fixed batches, in float32."""
    learning = network.training
    network.eval()
    totals: dict[str, float] = {}
    for batch in batches:
        for name, loss in losses(network, batch.to(device)).items():
            totals[name] = totals.get(name, 0.0) + loss.item() * batch.words
    network.train(learning)
    words = sum(batch.words for batch in batches)
    return {name: total / words for name, total in totals.items()}


def train(
    recipe: Recipe,
    options: TrainingOptions,
    *,
    folder: Path | None = None,
    logs: Path | None = None,
    record: Mapping[str, Any] | None = None,
    tell: Callable[[str], None] = print,
    world: ProcessGroup | None = None,
) -> Path | None:
    """Train a network; return the file of its best held-out loss, or None where nothing is saved.

    `folder` gets that file, `loss_N.safetensors` for N nats per word, and `resume.pt` to go on from; `logs` gets the
    journal and samples. The same recipe and options give the same curve, stopped or not, on one thread bit for bit.

    Several processes train on batches of their own, each with its own seed: a step of N processes is a step of one with
    batches N times as large. The first stop signal ends the step, saves and raises `KeyboardInterrupt`; a second Ctrl-C
    raises it at once.
    """
    training = Training(
        recipe, options, world or ProcessGroup(torch.device("cpu")), folder, logs, dict(record or {}), tell
    )
    with _Signals(patient=training.world.size > 1) as signals:
        return training.run(signals)


@dataclass
class Progress:
    """How far a training is; `loss` and `counted` sum up what was learned since the last log line."""

    step: int = 0
    words: int = 0
    seconds: float = 0.0
    best: float = math.inf
    best_file: str = ""
    former_file: str = ""
    waited: int = 0
    skipped: int = 0
    broken: int = 0
    loss: float = 0.0
    counted: float = 0.0


class _Signals:
    """Note stop signals, to act on between two steps; a second Ctrl-C interrupts at once, unless `patient`.

    Where `torchrun` is at work a second one is its own, and it ends its processes itself if they take too long.
    """

    def __init__(self, *, patient: bool) -> None:
        self.stop = False
        self.patient = patient
        self._former: dict[int, Any] = {}

    def __enter__(self) -> _Signals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._former[number] = signal.signal(number, self._note)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self.stop and number == signal.SIGINT and not self.patient:
            raise KeyboardInterrupt
        self.stop = True

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, former in self._former.items():
            signal.signal(number, former)


class _Losses(nn.Module):
    """The losses of a batch as a module, so that all of it is shared between processes."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.network = recipe.network
        self._losses = recipe.losses

    def forward(self, batch: Batch) -> Tensor:
        """Return the sum of the losses of a batch."""
        return torch.stack(list(self._losses(self.network, batch).values())).sum()


class Training:
    """A training under way. `step` makes one update; `run` does all, from where `folder` says it was stopped."""

    def __init__(
        self,
        recipe: Recipe,
        options: TrainingOptions,
        world: ProcessGroup,
        folder: Path | None = None,
        logs: Path | None = None,
        record: dict[str, Any] | None = None,
        tell: Callable[[str], None] = print,
    ) -> None:
        self.recipe, self.options, self.world, self.record = recipe, options, world, record or {}
        self.device = world.device
        self.bf16 = use_bf16(self.device, options.bf16)
        self.folder = folder
        network = recipe.network.to(self.device).train()
        self._shared = world.share(_Losses(recipe))
        self.optimizer = make_optimizer(network, options)
        self.average = Average(network, copy.deepcopy(network), options.ema) if options.ema else None
        if world.rank:
            seeds = np.random.SeedSequence((options.seed, world.rank))
            recipe.sampler.generator.bit_generator.state = np.random.PCG64(seeds).state
        torch.manual_seed(options.seed + world.rank)
        self.progress = Progress()
        resumed = folder is not None and self._resume(folder / RESUME)
        self.journal = TrainingLog(
            logs if world.first else None, tell if world.first else _say_nothing, step=self.progress.step
        )
        if resumed:
            self.journal.message(f"resuming at step {self.progress.step}")
        self._logs = logs

    @property
    def measured(self) -> nn.Module:
        """The network that is measured, heard and kept: the averaged one, where there is one."""
        return self.average.network if self.average is not None else self.recipe.network

    def run(self, signals: _Signals | None = None) -> Path | None:
        """Train to the end."""
        options, progress, journal = self.options, self.progress, self.journal
        keep_memory()
        speed = self._speed_line()
        mark, words = time.monotonic(), progress.words
        try:
            while progress.step < options.steps and not self._out_of_patience():
                if self.world.sum(float(signals is not None and signals.stop))[0]:
                    self._interrupt()
                started = time.monotonic()
                norm = self.step()
                progress.seconds += time.monotonic() - started
                last = progress.step == options.steps
                measure = last or progress.step % options.every == 0
                if not measure and progress.step % TOLD_EVERY:
                    continue
                pace = (progress.words - words) / (time.monotonic() - mark)
                line = self._line(norm)
                journal.message(
                    f"step {progress.step}: loss {line['loss']:.3f} nats per word, {speed(pace)}"
                    + (f", {progress.skipped} steps skipped" if progress.skipped else "")
                )
                if measure:
                    self._evaluate(line)
                elif self.world.first:
                    journal.log(line)
                progress.loss = progress.counted = 0.0
                if measure:
                    self._save()
                mark, words = time.monotonic(), progress.words
            if self._out_of_patience():
                journal.message(f"stopped early: no better held-out loss in {progress.waited} evaluations")
        finally:
            journal.close()
        if self.folder is None or not progress.best_file:
            return None
        return self.folder / progress.best_file

    def step(self) -> float:
        """Learn from one batch of each process; return the norm of the gradient."""
        progress, world = self.progress, self.world
        batch = self.recipe.sampler.draw()
        (words,) = world.sum(batch.words)
        with autocast(self.device, self.bf16):
            loss: Tensor = self._shared(batch.to(self.device))
        share = batch.words * world.size / words if world.size > 1 else 1.0  # a mean over all words, whoever has them
        (loss if world.size == 1 else loss * share).backward()  # type: ignore[no-untyped-call]
        limit = self.options.clip or math.inf
        norm = float(nn.utils.clip_grad_norm_(self.recipe.network.parameters(), limit))
        (total,) = world.sum(loss.item() * batch.words)
        if math.isfinite(total) and math.isfinite(norm):
            self.optimizer.step(self.options.rate(progress.step))
            progress.broken = 0
            progress.loss += total
            progress.counted += words
        else:
            self.optimizer.forget()
            progress.skipped += 1
            progress.broken += 1
        progress.step += 1
        progress.words += int(words)
        if self.average is not None and not progress.broken:
            self.average.update(progress.step)
        if progress.broken == MOST_BROKEN:
            raise CmtBridgeError(
                f"The loss was not a number in {MOST_BROKEN} steps in a row, at step {progress.step} the last time.",
                hint="Lower the learning rate with -l, or clip more.",
            )
        return norm

    def _speed_line(self) -> Callable[[float], str]:
        """Measure what the device can do; return the words for a pace in words per second."""
        if not self.world.first:
            return lambda _: ""
        recipe, journal = self.recipe, self.journal
        weights = multiplied_weights(recipe.network)
        rows = max(1, max((batch.words for batch in recipe.fixed), default=self.options.batch * self.options.length))
        limit = product_speed(recipe.network, rows, self.device, self.bf16) * self.world.size
        kind = "bfloat16" if self.bf16 else "float32"
        count = sum(weight.numel() for weight in recipe.network.parameters())
        journal.message(
            f"{count:,} weights; {self.device.type} in {kind}: products at {limit / 1e9:,.0f} GFLOP/s at most"
        )

        def words(pace: float) -> str:
            flops = FLOP_PER_WEIGHT * weights * pace
            return f"{pace:,.0f} words/s, {flops / 1e9:,.1f} GFLOP/s, {flops / limit:.0%} of the limit"

        return words

    def _line(self, norm: float) -> dict[str, Any]:
        progress = self.progress
        return {
            "step": progress.step,
            "words": progress.words,
            "seconds": round(progress.seconds, 2),
            "learning_rate": self.options.rate(progress.step - 1),
            "gradient_norm": norm,
            "loss": progress.loss / progress.counted if progress.counted else math.nan,
            "skipped": progress.skipped,
        }

    def _evaluate(self, line: dict[str, Any]) -> None:
        """Measure the held-out loss and note it; the others wait for the first process to say whether it is better."""
        progress = self.progress
        total = 0.0
        if self.world.first:
            losses = held_out_losses(self.measured, self.recipe.fixed, self.recipe.losses, self.device)
            total = sum(losses.values())
            self.journal.message(
                f"step {progress.step}: held-out loss {total:.4f} nats per word"
                f" after {progress.words:,} words, {progress.seconds / 60:.1f} min"
            )
            line |= {"held_out": total} | {f"held_out_{name}": loss for name, loss in losses.items()}
            self.journal.log(line)
            self.journal.draw()
            self._write_samples()
        (total,) = self.world.sum(total)
        if total < progress.best:
            progress.best, progress.waited = total, 0
            progress.former_file, progress.best_file = progress.best_file, f"loss_{total:.4f}.safetensors"
            self.record |= line
        else:
            progress.waited += 1

    def _out_of_patience(self) -> bool:
        return 0 < self.options.patience <= self.progress.waited

    def _write_samples(self) -> None:
        if self._logs is None or self.recipe.sample is None or not self.options.samples:
            return
        network = copy.deepcopy(self.measured).cpu().eval()
        for number in range(1, self.options.samples + 1):
            score = self.recipe.sample(network, self.options.seed + number)
            path = self._logs / SAMPLES / f"step_{self.progress.step:05}_{number}.mid"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_midi(score, path)

    def _interrupt(self) -> None:
        self._save()
        self.journal.message(
            f"stopped after step {self.progress.step}; the same command goes on from there"
            if self.folder is not None
            else f"stopped after step {self.progress.step}; nothing was saved"
        )
        raise KeyboardInterrupt

    # What is saved

    def _identity(self) -> dict[str, Any]:
        """Return what a training must have in common with the one that it goes on from."""
        options = {key: value for key, value in asdict(self.options).items() if key not in FREE}
        return {"options": options, "facts": dict(self.recipe.facts), "processes": self.world.size}

    def _save(self) -> None:
        """Write the state, then the best checkpoint if it is of this step, then drop the one before it."""
        if self.folder is None:
            return
        own = {
            "sampler": json.dumps(self.recipe.sampler.generator.bit_generator.state),
            "torch": random_states(self.device),
        }
        dices = self.world.gather(own)
        if not self.world.first:
            return
        state = {
            "identity": json.dumps(self._identity(), sort_keys=True),
            "network": self.recipe.network.state_dict(),
            "average": self.average.network.state_dict() if self.average is not None else None,
            "optimizer": self.optimizer.state(),
            "dice": dices,
            "progress": asdict(self.progress),
            "record": json.dumps(self.record),
        }
        with complete_path(self.folder / RESUME) as temporary:
            torch.save(state, temporary)
        self._keep_best(anew=True)

    def _keep_best(self, *, anew: bool) -> None:
        """Make the folder hold the checkpoint that the state names, if it is of this step, and not the one before."""
        progress, folder = self.progress, self.folder
        if folder is None or not self.world.first or not progress.best_file:
            return
        if self.record.get("step") == progress.step and (anew or not (folder / progress.best_file).exists()):
            options = asdict(self.options) | {"device": self.device.type, "bf16": self.bf16}
            record = {**self.record, "options": options, "processes": self.world.size}
            self.recipe.save(self.measured, folder / progress.best_file, record)
        if progress.former_file and progress.former_file != progress.best_file:
            (folder / progress.former_file).unlink(missing_ok=True)

    def _resume(self, path: Path) -> bool:
        """Go on from a saved state, if there is one."""
        if not path.is_file():
            return False
        damaged = CheckpointError(f"{path} is damaged.", hint="Choose another name with -n.")
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            identity = json.loads(state["identity"])
        except (KeyError, TypeError, RuntimeError, ValueError, OSError, EOFError, UnpicklingError) as error:
            raise damaged from error
        mine = json.loads(json.dumps(self._identity()))
        if identity != mine:
            raise UsageError(
                f"{path.parent} was trained with other options or data ({_difference(identity, mine)}).",
                hint="Choose another name with -n, or the same options.",
            )
        try:
            self.recipe.network.load_state_dict(state["network"])
            if self.average is not None:
                self.average.network.load_state_dict(state["average"])
            self.optimizer.resume(state["optimizer"])
            own = state["dice"][self.world.rank]
            self.recipe.sampler.generator.bit_generator.state = json.loads(own["sampler"])
            restore_random_states(own["torch"], self.device)
            self.progress = Progress(**state["progress"])
            self.record = json.loads(state["record"])
        except (KeyError, TypeError, RuntimeError, ValueError, IndexError) as error:
            raise damaged from error
        self._keep_best(anew=False)
        return True


def _difference(saved: Any, mine: Mapping[str, Any]) -> str:
    """Name what differs between two identities."""
    if not isinstance(saved, dict):
        return "another version"
    names = []
    for part, value in mine.items():
        other = saved.get(part)
        if isinstance(value, dict) and isinstance(other, dict):
            names += [key for key in value if value[key] != other.get(key)]
        elif other != value:
            names.append(part)
    return ", ".join(names).replace("_", " ") or "another version"


def _say_nothing(_: str) -> None:
    """Leave talking to the first process."""
