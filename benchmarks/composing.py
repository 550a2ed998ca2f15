"""Measure whether a model keeps up with a DAW: dense music at 120 BPM, on one core.

Every bar has an onset on each of its 16 ticks and all five instruments may play, which is as dense as the grid allows.
The time is that of really composing, filters and draws included; the first bars of a piece, while little is to be
heard yet, are left out. The goal is four times real time, so that a slower computer still plays.

    python benchmarks/composing.py [MODEL …] [--bars 48]
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from cmt_bridge.core.control import ControlTrack
from cmt_bridge.core.options import ComposeOptions
from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.core.tokens import BAR, Column, Type
from cmt_bridge.model.checkpoint import load_network
from cmt_bridge.model.decoding import Decoding, engine_for
from cmt_bridge.model.paper_engine import Precision
from cmt_bridge.model.registry import DEFAULT, find_model

PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16", "int8")
WARM_UP = 12  # bars
BAR_SECONDS = 2.0
GOAL = 4.0


def bars_of(model: str, precision: Precision, bars: int) -> tuple[list[float], int]:
    """Give the seconds that each bar after the warm-up took, and how many notes they hold."""
    engine = engine_for(load_network(find_model(model).path), precision)
    control = ControlTrack(TempoMap.constant(120), (16,) * bars, (), bars * 16)
    options = ComposeOptions(density_control=(1.0,))
    lines: list[float] = []
    notes = 0
    for _, word in Decoding(engine, control, options):
        if word[Column.TYPE] == Type.RHYTHM and word[Column.BEAT] == BAR:
            lines.append(time.perf_counter())
        notes += len(lines) > WARM_UP and word[Column.TYPE] == Type.NOTE
    return np.diff(lines[WARM_UP:-1]).tolist(), notes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=[DEFAULT])
    parser.add_argument("--bars", type=int, default=48)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'model':<16} {'precision':<10} {'notes/bar':>9} {'s/bar':>8} {'slowest':>8} {'x real time':>12}")
    for model in arguments.models:
        for precision in PRECISIONS:
            seconds, notes = bars_of(model, precision, arguments.bars)
            mean, worst = float(np.mean(seconds)), max(seconds)
            verdict = "" if BAR_SECONDS / worst >= GOAL else f"  (the slowest bar misses {GOAL:g})"
            print(
                f"{model:<16} {precision:<10} {notes / len(seconds):9.1f} {mean:8.3f} {worst:8.3f}"
                f" {BAR_SECONDS / mean:12.1f}{verdict}"
            )


if __name__ == "__main__":
    main()
