"""Measure a training step of the paper's network: 39 million weights, 8 crops of 1,000 words, dropout and all.

The original's side is its step as released, on the library it stands on: float32, Adam, gradients clipped at 3. Where
that library is not installed its recorded figure stands there, from another machine: ratios to it are of little worth.
Beside each of ours stands the device's own limit, the words per second if products at their measured best were all
there is to a step, and how much of it is reached. `per core·s` counts only the time that the step really had a core: it
holds on a busy machine too, where the others do not.

    pip install setuptools wheel
    pip install --no-deps --no-build-isolation pytorch-fast-transformers
    python benchmarks/train.py [--threads 2] [--batch 8] [--words 1000] [--steps 3] [--profile]

The second line compiles for six minutes; a CUDA compiler that is on the PATH must be usable, or taken off it.
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from cmt_bridge.core.tokens import CLASSES, Column
from cmt_bridge.model.paper_network import PaperConfig, PaperNetwork, initial_tokens
from cmt_bridge.training.batches import Batch
from cmt_bridge.training.device import keep_memory, multiplied_weights, product_speed
from cmt_bridge.training.loop import FLOP_PER_WEIGHT, Training
from cmt_bridge.training.options import TrainingOptions
from cmt_bridge.training.process_group import ProcessGroup
from cmt_bridge.training.recipe import Recipe, paper_losses

RECORDED = 349.0  # words per second: the released code, batch 8 x 1,000, two cores of another machine
CLIP, RATE = 3.0, 1e-4  # of the released code
WANTED = 5.0  # times as fast
CPU = torch.device("cpu")


@dataclass
class Same:
    """A sampler that gives one batch again and again."""

    batch: Batch
    generator: np.random.Generator

    def draw(self) -> Batch:
        return self.batch


def random_batch(count: int, words: int) -> Batch:
    """Give `count` crops of words of random classes: time does not depend on them."""
    rng = np.random.default_rng(0)
    rows = np.stack([rng.integers(0, classes, (count, words)) for classes in CLASSES], axis=-1)
    rows[..., Column.POSITION] = np.arange(words)
    return Batch(torch.from_numpy(rows), initial_tokens().repeat(count, 1, 1), torch.ones(count, words))


def released() -> nn.Module:
    """Give the paper's network put together as the released code does, on pytorch-fast-transformers (MIT)."""
    from fast_transformers.builders import TransformerEncoderBuilder
    from fast_transformers.masking import TriangularCausalMask

    class Released(PaperNetwork):
        def __init__(self) -> None:
            config = PaperConfig()
            super().__init__(config)
            size = config.width // config.heads
            self.dropout = nn.Dropout(config.dropout)
            del self.layers, self.norm
            self.encoder = TransformerEncoderBuilder.from_kwargs(
                n_layers=config.layers,
                n_heads=config.heads,
                query_dimensions=size,
                value_dimensions=size,
                feed_forward_dimensions=config.feed_forward,
                activation="gelu",
                dropout=config.dropout,
                attention_type="causal-linear",
            ).get()

        def forward(self, rows: Tensor, initial: Tensor) -> Tensor:
            x = torch.cat([self.embed_initial(initial), self.embed_words(rows)], 1)
            heard: Tensor = self.encoder(x, TriangularCausalMask(x.shape[1]))
            return heard

    return Released()


@dataclass(frozen=True)
class Figures:
    """Words per second, by the clock and by the time of cores, and peak memory in GB."""

    pace: float
    core_pace: float
    memory: float


def timed(step: Callable[[], object], words: int, steps: int) -> Figures:
    times, core_times = [], []
    for _ in range(steps + 1):  # the first fetches memory
        start, core_start = time.perf_counter(), time.process_time()
        step()
        times.append(time.perf_counter() - start)
        core_times.append(time.process_time() - core_start)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return Figures(words / min(times[1:]), words / min(core_times[1:]), memory)


def measure_original(arguments: argparse.Namespace) -> Figures:
    """Give the figures of the original's step."""
    prepare(arguments)
    network, batch = released(), random_batch(arguments.batch, arguments.words)
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)

    def step() -> None:
        optimizer.zero_grad()
        torch.stack([*paper_losses(network, batch).values()]).sum().backward()  # type: ignore[arg-type]
        nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimizer.step()

    return timed(step, batch.words, arguments.steps)


def measure(arguments: argparse.Namespace, bf16: bool) -> tuple[Figures, float]:
    """Give the figures of one precision of ours, and the device's limit in words per second."""
    prepare(arguments)
    keep_memory()
    options = TrainingOptions(network="paper", size="paper", optimizer="adamw", ema=0.0, device="cpu", bf16=bf16)
    batch = random_batch(arguments.batch, arguments.words)
    recipe = Recipe(
        PaperNetwork(PaperConfig()), Same(batch, np.random.default_rng(0)), [], paper_losses, lambda *_: None
    )
    training = Training(recipe, options, ProcessGroup(CPU), tell=lambda _: None)
    figures = timed(training.step, batch.words, arguments.steps)
    if arguments.profile:
        with torch.profiler.profile() as profile:
            training.step()
        print(profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=15, max_name_column_width=40))
    flop = FLOP_PER_WEIGHT * multiplied_weights(recipe.network)
    return figures, product_speed(recipe.network, batch.words, CPU, bf16) / flop


def prepare(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--words", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    print(f"{'':26} {'words/s':>8} {'x original':>11} {'GB':>8} {'per core·s':>11} {'limit':>8} {'of limit':>9}")
    spawn = multiprocessing.get_context("spawn")
    # A process for each, so that its peak of memory is its own.
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as pool:
        base = RECORDED
        if importlib.util.find_spec("fast_transformers"):
            original = pool.submit(measure_original, arguments).result()
            base = original.pace
            print(line("the original", original, base), flush=True)
        else:
            print(f"{'the original, recorded':26} {RECORDED:8.0f} {1.0:11.1f}")
        for bf16 in (True, False):
            figures, limit = pool.submit(measure, arguments, bf16).result()
            name = "ours, bfloat16" if bf16 else "ours, float32"
            print(f"{line(name, figures, base)} {limit:8.0f} {figures.pace / limit:9.0%}", flush=True)
    print(f"wanted: {WANTED:.0f} times the original, {WANTED * base:,.0f} words/s")


def line(name: str, figures: Figures, base: float) -> str:
    return f"{name:26} {figures.pace:8.0f} {figures.pace / base:11.1f} {figures.memory:8.1f} {figures.core_pace:11.0f}"


if __name__ == "__main__":
    main()
