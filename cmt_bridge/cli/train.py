"""`cmt-bridge train`: from a folder of MIDI files to weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cmt_bridge.cli.common import json_option, print_json, progress, talk

__all__ = ["train"]


@click.command()
@click.option(
    "--data", "folders", multiple=True, required=True, type=click.Path(path_type=Path), help="Folder of MIDI."
)
@click.option("-n", "--name", required=True, help="Name of the run: exp/NAME. `debug` saves nothing.")
@click.option("--size", type=click.Choice(["small", "paper", "tiny"]), default="small", show_default=True)
@click.option("--steps", type=click.IntRange(min=1), default=2600, show_default=True, help="Updates to make.")
@click.option("-b", "--batch", type=click.IntRange(min=1), default=8, show_default=True, help="Crops per update.")
@click.option("--length", type=click.IntRange(min=16), default=768, show_default=True, help="Words per crop.")
@click.option("-l", "--learning-rate", type=float, default=1e-3, show_default=True)
@click.option(
    "--every", type=click.IntRange(min=1), default=200, show_default=True, help="Updates between checkpoints."
)
@click.option("--held-out", type=float, default=0.05, show_default=True, help="Share of the songs kept from training.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--bf16", is_flag=True, help="Multiply in bfloat16, where the processor is fast at it.")
@click.option("--threads", type=click.IntRange(min=1), help="Processor threads; all of them else.")
@json_option
def train(
    folders: tuple[Path, ...],
    name: str,
    held_out: float,
    threads: int | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Train a network on the MIDI files under a folder (4/4, any instruments).

    Songs are held out for validation; checkpoints in exp/NAME are named after their held-out loss, in nats per word.
    The same command goes on where it was stopped.

    \b
    Example:
      cmt-bridge train --data ~/midi -n mine
      cmt-bridge models import exp/mine/loss_*.safetensors --name mine
    """
    from cmt_bridge.errors import InputError, UsageError

    if name != Path(name).name or name.startswith("."):
        raise UsageError(f"A run cannot be named {name!r}.", hint="Give a plain name with -n.")
    if not 0.0 < held_out < 1.0:
        raise UsageError("The held-out share must lie between 0 and 1.", hint="0.05 is usual.")
    import torch

    from cmt_bridge.training.corpus import read_corpus
    from cmt_bridge.training.loop import TrainingOptions
    from cmt_bridge.training.loop import train as run

    if threads:
        torch.set_num_threads(threads)
    options = TrainingOptions(**given)
    with progress("Reading") as done:
        corpus = read_corpus(folders, held_out=held_out, seed=0, progress=done)
    for reason, count in sorted(corpus.skipped.items()):
        talk(f"left out: {count} files {reason}")
    if not corpus.training:
        raise InputError("No song is left to train on.", hint="Give more MIDI files, in 4/4 and of four bars or more.")
    best = run(
        corpus, Path("exp") / name, options, save=name != "debug", record={"data": [f.name for f in folders]}, tell=talk
    )
    if best is not None and as_json:
        print_json({"checkpoint": str(best)})
    elif best is not None:
        click.echo(best)
