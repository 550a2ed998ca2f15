"""Measure decoding: the original's way, ours in every precision, several candidates at once.

The original runs the whole prefix through the network for every sampled word. `quadratic` does that with this project's
parallel form, which is at least as fast as the released one, so the ratios printed are on the careful side. All figures
are of one run on this machine, on one thread, with the paper's network (39 million parameters) and random weights: time
does not depend on their values.

    python benchmarks/decode.py [--words 1000] [--loss CHECKPOINT DATASET]

`--loss` adds what a precision costs: the held-out loss per word of a trained model, on a dataset.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from cmt_bridge.core.control import ControlTrack
from cmt_bridge.core.options import ComposeOptions
from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.core.tokens import CLASSES, Column, TokenRows
from cmt_bridge.model.checkpoint import load_network
from cmt_bridge.model.decoding import Decoding
from cmt_bridge.model.paper_engine import PaperEngine, Precision
from cmt_bridge.model.paper_network import PaperConfig, PaperNetwork, initial_tokens
from cmt_bridge.training.batches import Batch, evaluation_batches
from cmt_bridge.training.dataset import open_dataset

RECORDED_MS = 513.0  # per word at 1,000 words: the released code, on two cores of this kind of machine
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16", "int8")
BYTES = {"float32": 4, "bfloat16": 2, "int8": 1}
REPEATS = 5


def random_words(count: int) -> TokenRows:
    """Give `count` words of random classes."""
    rng = np.random.default_rng(0)
    return np.stack([rng.integers(0, classes, count) for classes in CLASSES], axis=-1)


@torch.inference_mode()
def quadratic_ms(network: PaperNetwork, words: TokenRows) -> float:
    """Give the milliseconds that one more word takes when the whole prefix is run again."""
    rows, initial = torch.from_numpy(words)[None], initial_tokens()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        hidden = network(rows, initial)[:, -1]
        network.type_logits(hidden)
        network.logits(hidden, torch.tensor([2]))
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def recurrent_ms(engine: PaperEngine, words: TokenRows, batch: int) -> float:
    """Give the milliseconds per word of `batch` songs decoded together, after the words that went before."""
    state, kinds = engine.state(batch), np.full(batch, 2)
    engine.prime(initial_tokens()[0].numpy(), state)
    times = []
    for word in words[-200:]:
        start = time.perf_counter()
        hidden = engine.step(word[None].repeat(batch, 0), state)
        engine.type_logits(hidden)
        engine.logits(hidden, kinds)
        times.append(time.perf_counter() - start)
    return 1e3 * float(np.median(times))


def composing_ms(engine: PaperEngine) -> float:
    """Give the milliseconds per word of really composing, filters and draws included."""
    control = ControlTrack(TempoMap.constant(120), (10,) * 8, (), 128)
    start, count = time.perf_counter(), 0
    for _ in Decoding(engine, control, ComposeOptions(density_control=(1.0,))):
        count += 1
    return 1e3 * (time.perf_counter() - start) / count


def bandwidth() -> float:
    """Give the bytes per second that one thread reads from memory."""
    block = torch.ones(64 * 2**20)
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        block.sum()
        times.append(time.perf_counter() - start)
    return block.numel() * 4 / min(times)


@torch.inference_mode()
def recurrent_loss(engine: PaperEngine, batches: list[Batch]) -> float:
    """Give the held-out loss in nats per word, fed word by word in the engine's precision."""
    network, total, count = engine.network, 0.0, 0.0
    for batch in batches:
        state = engine.state(len(batch.rows))
        for x in network.embed_initial(batch.initial).unbind(1):
            hidden = engine._advance(x, state)
        hiddens = [hidden]
        hiddens += [engine.step(rows.numpy(), state) for rows in batch.rows[:, :-1].unbind(1)]
        losses = network.losses(torch.stack(hiddens, 1), batch.rows, batch.mask)
        words = float(batch.mask.sum())
        total, count = total + words * float(sum(losses.values())), count + words
    return total / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--words", type=int, default=1000)
    parser.add_argument("--loss", nargs=2, type=Path, metavar=("CHECKPOINT", "DATASET"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = PaperNetwork(PaperConfig()).eval()
    words = random_words(arguments.words)
    words[:, Column.POSITION] = np.arange(len(words))
    baseline, speed = quadratic_ms(network, words), bandwidth()
    print(f"memory bandwidth of one thread: {speed / 1e9:.1f} GB/s")
    print(f"{'at ' + str(len(words)) + ' words':24} {'ms/word':>8} {'× here':>8} {'× recorded':>11} {'bandwidth':>10}")
    print(f"{'whole prefix, float32':24} {baseline:8.1f} {1.0:8.1f} {RECORDED_MS / baseline:11.1f}")
    for precision in PRECISIONS:
        engine = PaperEngine(network, precision)
        one = recurrent_ms(engine, words, 1)
        limit = engine.weights * BYTES[precision] / speed * 1e3
        print(
            f"{'recurrent, ' + precision:24} {one:8.2f} {baseline / one:8.1f}"
            f" {RECORDED_MS / one:11.1f} {limit / one:10.0%}"
        )
        five = recurrent_ms(engine, words, 5)
        print(f"{'  five candidates':24} {five:8.2f}   {five / one:.2f} times the price of one")
        print(f"{'  composing, all told':24} {composing_ms(engine):8.2f}")
    if arguments.loss:
        checkpoint, data = arguments.loss
        dataset = open_dataset(data)
        batches = evaluation_batches(dataset.held_out or dataset.training, batch=8, length=512, count=2)
        trained = load_network(checkpoint)
        if not isinstance(trained, PaperNetwork):
            parser.error(f"{checkpoint} is not a checkpoint of the paper's network")
        exact = recurrent_loss(PaperEngine(trained), batches)
        print(f"held-out loss of {checkpoint.name}: float32 {exact:.4f} nats per word", end="")
        for precision in PRECISIONS[1:]:
            print(f", {precision} {recurrent_loss(PaperEngine(trained, precision), batches) - exact:+.4f}", end="")
        print()


if __name__ == "__main__":
    main()
