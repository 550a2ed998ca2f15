"""Measure a training step of the paper's network: 39 million weights, 8 crops of 1,000 words, dropout and all.

The original's figure is recorded, not of this run: the released code on two cores of this kind of machine. Beside each
of ours stands the device's own limit, the words per second if products at their measured best were all there is to a
step, and how much of it is reached. `per core·s` counts only the time that the step really had a core: it holds on a
busy machine too, where the others do not.

    python benchmarks/train.py [--threads 2] [--batch 8] [--words 1000] [--steps 3] [--profile]
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from dataclasses import dataclass

import numpy as np
import torch

from cmt_bridge.core.tokens import CLASSES, Column
from cmt_bridge.model.network import Network, NetworkConfig, initial_tokens
from cmt_bridge.training.batches import Batch
from cmt_bridge.training.device import keep_memory, multiplied_weights, product_speed
from cmt_bridge.training.loop import FLOP_PER_WEIGHT, Training
from cmt_bridge.training.options import TrainingOptions
from cmt_bridge.training.recipe import Recipe, paper_losses
from cmt_bridge.training.world import World

RECORDED = 349.0  # words per second: the released code, batch 8 x 1,000, two cores of this kind of machine
RECORDED_MEMORY = 12.0  # GB
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


def measure(bf16: bool, arguments: argparse.Namespace) -> None:
    """Print the figures of one precision; in a process of its own, so that its peak of memory is."""
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    keep_memory()
    options = TrainingOptions(network="paper", size="paper", optimizer="adamw", ema=0.0, device="cpu", bf16=bf16)
    batch = random_batch(arguments.batch, arguments.words)
    recipe = Recipe(Network(NetworkConfig()), Same(batch, np.random.default_rng(0)), [], paper_losses, lambda *_: None)
    training = Training(recipe, options, World(CPU), tell=lambda _: None)
    times, core_times = [], []
    for _ in range(arguments.steps + 1):  # the first fetches memory
        start, core_start = time.perf_counter(), time.process_time()
        training.step()
        times.append(time.perf_counter() - start)
        core_times.append(time.process_time() - core_start)
    pace, core_pace = batch.words / min(times[1:]), batch.words / min(core_times[1:])
    flop = FLOP_PER_WEIGHT * multiplied_weights(recipe.network)
    limit = product_speed(recipe.network, batch.words, CPU, bf16)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{'bfloat16' if bf16 else 'float32':26} {pace:8.0f} {pace / RECORDED:11.1f} {memory:8.1f}"
        f" {limit / flop:8.0f} {flop * pace / limit:9.0%} {core_pace:11.0f}",
        flush=True,
    )
    if arguments.profile:
        with torch.profiler.profile() as profile:
            training.step()
        print(profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=15, max_name_column_width=40))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--words", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    print(f"{'':26} {'words/s':>8} {'x recorded':>11} {'GB':>8} {'limit':>8} {'of limit':>9} {'per core·s':>11}")
    print(f"{'the original, recorded':26} {RECORDED:8.0f} {1.0:11.1f} {RECORDED_MEMORY:8.1f}")
    for bf16 in (True, False):
        process = multiprocessing.get_context("spawn").Process(target=measure, args=(bf16, arguments))
        process.start()
        process.join()
        if process.exitcode:
            raise SystemExit(process.exitcode)
    print(f"wanted: {WANTED:.0f} times the recorded figure, {WANTED * RECORDED:,.0f} words/s")


if __name__ == "__main__":
    main()
