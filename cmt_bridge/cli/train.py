"""`cmt-bridge train`: from a dataset to weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cmt_bridge.cli.common import json_option, print_json, talk

__all__ = ["train"]

DEBUG = "debug"


@click.command(short_help="Train a network on a dataset.")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="Dataset, made by `data build`.")
@click.option("-n", "--name", required=True, help="Name of the run: exp/NAME, logs/NAME. `debug` saves nothing.")
@click.option("-p", "--path", "start", type=click.Path(path_type=Path), help="Start from the weights of a checkpoint.")
@click.option(
    "--network", type=click.Choice(["composer", "paper"]), default="composer", show_default=True,
    help="Our own network, or the paper's.",
)  # fmt: skip
@click.option("--size", type=click.Choice(["small", "paper", "tiny"]), default="small", show_default=True)
@click.option("--steps", type=click.IntRange(min=1), default=4000, show_default=True, help="Updates to make.")
@click.option(
    "-b", "--batch-size", "--batch", "batch", type=click.IntRange(min=1), default=4, show_default=True,
    help="Crops per update and process.",
)  # fmt: skip
@click.option("--length", type=click.IntRange(min=16), default=768, show_default=True, help="Words per crop.")
@click.option("-l", "--lr", "--learning-rate", "learning_rate", type=float, default=4e-3, show_default=True)
@click.option("--warmup", type=click.IntRange(min=0), default=50, show_default=True, help="Updates up to that rate.")
@click.option("--clip", type=float, default=1.0, show_default=True, help="Longest gradient; 0: any.")
@click.option(
    "--optimizer",
    type=click.Choice(["adamw", "muon"]),
    default="muon",
    show_default=True,
    help="Muon learns faster; AdamW is what the paper's network was trained with.",
)
@click.option("--ema", type=float, default=0.999, show_default=True, help="Decay of the averaged weights; 0: none.")
@click.option(
    "--every", type=click.IntRange(min=1), default=200, show_default=True, help="Updates between evaluations."
)
@click.option(
    "--patience", type=click.IntRange(min=0), default=10, show_default=True,
    help="Evaluations without a better loss after which to stop; 0: never.",
)  # fmt: skip
@click.option("--samples", type=click.IntRange(min=0), default=0, show_default=True, help="Pieces per evaluation.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), default="auto", show_default=True,
    help="Where to train; auto takes a GPU where there is one.",
)  # fmt: skip
@click.option("--bf16/--no-bf16", default=None, help="Multiply in bfloat16; on GPUs that can it is so anyway.")
@click.option("--threads", type=click.IntRange(min=1), help="Processor threads. Without it, all of them.")
@json_option
def train(
    data: Path,
    name: str,
    start: Path | None,
    threads: int | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Train a network on a dataset.

    \b
    exp/NAME   the checkpoint with the best held-out loss, named after it in
               nats per word, and what to resume from
    logs/NAME  train.log, log.jsonl, TensorBoard events, loss.png, samples

    The same command goes on where it was stopped, by Ctrl-C or anything else. For several GPUs or machines:
    torchrun --nproc_per_node=4 -m cmt_bridge train ...

    \b
    Example:
      cmt-bridge data build ~/midi -o dataset
      cmt-bridge train --data dataset -n mine
      cmt-bridge models import exp/mine/loss_*.safetensors --name mine
    """
    from cmt_bridge.errors import UsageError

    if name != Path(name).name or name.startswith("."):
        raise UsageError(f"A run cannot be named {name!r}.", hint="Give a plain name with -n.")
    from cmt_bridge.training.dataset import open_dataset
    from cmt_bridge.training.options import TrainingOptions

    options = TrainingOptions(**given)
    dataset = open_dataset(data)

    import torch

    from cmt_bridge.training.loop import train as run
    from cmt_bridge.training.process_group import join
    from cmt_bridge.training.recipe import recipe_for

    if threads:
        torch.set_num_threads(threads)
    recipe = recipe_for(dataset, options, start)
    world = join(options.device)
    tell = talk if world.first else _say_nothing
    tell(f"{len(dataset.training):,} pieces to learn from, {len(dataset.held_out):,} held out")
    saved = name != DEBUG
    folder, logs = (Path("exp") / name, Path("logs") / name) if saved else (None, None)
    record = {"data": data.resolve().name} | ({"started_from": start.name} if start is not None else {})
    try:
        best = run(recipe, options, folder=folder, logs=logs, record=record, tell=tell, world=world)
    finally:
        world.leave()
    if best is None or not world.first:
        return
    if as_json:
        print_json({"checkpoint": str(best), "logs": str(logs)})
    else:
        click.echo(best)


def _say_nothing(_: str) -> None:
    """Leave talking to the first process."""
