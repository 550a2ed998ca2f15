"""Recipes: all that the training loop knows of a network, its examples and its losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from cmt_bridge.composition.realize import realize
from cmt_bridge.core.control import ControlTrack
from cmt_bridge.core.options import ComposeOptions
from cmt_bridge.core.score import Score
from cmt_bridge.core.tempo import TICKS_PER_BAR, TempoMap
from cmt_bridge.core.tokens import Column
from cmt_bridge.errors import InputError, UsageError
from cmt_bridge.model.checkpoint import load_network, read_original, save_network
from cmt_bridge.model.decoding import Decoding, compose, engine_for
from cmt_bridge.model.event_network import EventConfig, EventTransformer
from cmt_bridge.model.paper_network import PaperConfig, PaperNetwork
from cmt_bridge.training.batches import Batch as PaperBatch
from cmt_bridge.training.batches import Sampler as PaperSampler
from cmt_bridge.training.batches import evaluation_batches
from cmt_bridge.training.dataset import Piece
from cmt_bridge.training.examples import EventBatch, EventSampler, fixed_batches
from cmt_bridge.training.options import TrainingOptions

__all__ = [
    "COMPOSER_SIZES",
    "RECIPES",
    "SIZES",
    "Batch",
    "Music",
    "Recipe",
    "Sampler",
    "compose_sample",
    "event_recipe",
    "paper_losses",
    "paper_recipe",
    "recipe_for",
]

SIZES: dict[str, PaperConfig] = {
    "paper": PaperConfig(),
    "small": PaperConfig(
        layers=6,
        heads=8,
        width=256,
        feed_forward=1024,
        embeddings=(32, 16, 32, 192, 64, 16, 32),
        timing_embedding=64,
        initial_embedding=32,
        position_period=4096,
    ),
    "tiny": PaperConfig(
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
COMPOSER_SIZES: dict[str, EventConfig] = {
    "paper": EventConfig(layers=12, heads=8, head_size=64, width=512, feed_forward=2048, speech_width=256),
    "small": EventConfig(),
    "tiny": EventConfig(layers=2, heads=2, head_size=16, width=32, feed_forward=64, speech_width=16),
}
DEFAULT_PERIOD = 4096  # ticks; the room that crops are laid in where positions do not wrap
FIXED_BATCHES = 12
FIXED_EXAMPLES = 48
SAMPLE_BARS, SAMPLE_TEMPO, SAMPLE_DENSITY = 8, 120, 8


class Batch(Protocol):
    """Examples for one step."""

    @property
    def words(self) -> int:
        """The number of words that losses are means over."""

    def to(self, device: torch.device | str) -> Batch:
        """Return the batch on a device."""


class Sampler(Protocol):
    """A source of batches whose only state is its generator."""

    generator: np.random.Generator

    def draw(self) -> Batch:
        """Return the next batch."""


class Music(Protocol):
    """Pieces to learn from and pieces held out, as a dataset has them."""

    @property
    def training(self) -> Sequence[Piece]: ...

    @property
    def held_out(self) -> Sequence[Piece]: ...

    @property
    def styles(self) -> Sequence[str]: ...


@dataclass(frozen=True)
class Recipe:
    """A network and how it is trained.

    `fixed` are the held-out batches, always the same. `losses` gives one tensor per attribute, in nats per word of the
    batch; their sum is what is trained. `save` writes a network and a record to a file. `sample` composes a short piece
    from a seed. `facts` tell what was trained on what: a training that is resumed must agree with them.
    """

    network: nn.Module
    sampler: Sampler
    fixed: Sequence[Batch]
    losses: Callable[[Any, Any], Mapping[str, Tensor]]
    save: Callable[[Any, Path, dict[str, Any]], None]
    sample: Callable[[Any, int], Score] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def recipe_for(music: Music, options: TrainingOptions, start: Path | None = None) -> Recipe:
    """Return the recipe of the options' network, fresh from their seed or with the weights of the checkpoint `start`.

    A checkpoint, ours or a published one of the original, also says which network it is and of what size.
    Raises `InputError` where there is nothing to train on, `CheckpointError` where `start` cannot be read.
    """
    if not music.training:
        raise InputError("There is no song to train on.", hint="Build the dataset of more music.")
    torch.manual_seed(options.seed)
    if start is None:
        if options.network not in RECIPES:
            raise UsageError(f"There is no network {options.network}.", hint=f"Choose one of {', '.join(RECIPES)}.")
        return RECIPES[options.network](music, options, None)
    network = read_original(start) if start.suffix.lower() in (".pt", ".pth") else load_network(start)
    if isinstance(network, EventTransformer):
        return event_recipe(music, options, network)
    return paper_recipe(music, options, network)


def event_recipe(music: Music, options: TrainingOptions, network: EventTransformer | None = None) -> Recipe:
    """Return the recipe of our own network: `network`, which keeps its styles, or a fresh one that knows the
    music's.
    """
    if network is None:
        if options.size not in COMPOSER_SIZES:
            raise UsageError(f"There is no size {options.size}.", hint=f"Choose one of {', '.join(COMPOSER_SIZES)}.")
        config = replace(COMPOSER_SIZES[options.size], window=options.length, styles=tuple(music.styles))
        network = EventTransformer(config)
    elif network.config.window < options.length:
        network.config = replace(network.config, window=options.length)
    styles, batch, length = network.config.styles, options.batch, options.length
    sampler = EventSampler(music.training, styles, batch=batch, length=length, seed=options.seed)
    fixed = fixed_batches(
        music.held_out or music.training, batch=batch, length=length, count=FIXED_EXAMPLES // batch or 1
    )
    facts = facts_of(music, "composer", network.config.to_json())
    return Recipe(network, sampler, fixed, _event_losses, _save, compose_sample, facts)


def paper_recipe(music: Music, options: TrainingOptions, network: PaperNetwork | None = None) -> Recipe:
    """Return the recipe of the paper's network: `network`, or a fresh one of the options' size."""
    if network is None:
        if options.size not in SIZES:
            raise UsageError(f"There is no size {options.size}.", hint=f"Choose one of {', '.join(SIZES)}.")
        network = PaperNetwork(replace(SIZES[options.size], memory=options.length))
    elif 0 < network.config.memory < options.length:
        network.config = replace(network.config, memory=options.length)
    config = network.config
    sampler = PaperSampler(
        music.training,
        batch=options.batch,
        length=options.length,
        period=config.position_period or DEFAULT_PERIOD,
        seed=options.seed,
    )
    fixed = evaluation_batches(
        music.held_out or music.training, batch=options.batch, length=options.length, count=FIXED_BATCHES
    )
    return Recipe(
        network, sampler, fixed, paper_losses, _save, compose_sample, facts_of(music, "paper", asdict(config))
    )


def facts_of(music: Music, network: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of a recipe: the network, its shape, and how much music there is."""
    sides = {"training": music.training, "held_out": music.held_out}
    counts = {side: [len(pieces), sum(len(piece.notes) for piece in pieces)] for side, pieces in sides.items()}
    return {"network": network, "config": dict(config), "pieces_and_notes": counts}


def paper_losses(network: PaperNetwork, batch: PaperBatch) -> dict[str, Tensor]:
    """Return the loss of every column of the paper's network."""
    hidden = network(batch.rows, batch.initial)
    first = batch.initial.shape[1] - 1
    losses = network.losses(hidden[:, first:-1], batch.rows, batch.mask)
    return {Column(column).name.lower(): loss for column, loss in losses.items()}


def _event_losses(network: EventTransformer, batch: EventBatch) -> dict[str, Tensor]:
    losses = network.losses(network(batch.events[:, :-1]), batch.events[:, 1:], batch.weights)
    return {field.name.lower(): loss for field, loss in losses.items()}


def _save(network: PaperNetwork | EventTransformer, path: Path, record: dict[str, Any]) -> None:
    save_network(network, path, record=record, half=True)


def compose_sample(network: Any, seed: int) -> Score:
    """Compose a few bars with a network, by itself: the picture asks for nothing."""
    control = ControlTrack(
        TempoMap.constant(SAMPLE_TEMPO), (SAMPLE_DENSITY,) * SAMPLE_BARS, (), SAMPLE_BARS * TICKS_PER_BAR
    )
    options = ComposeOptions(seed=seed, density_control=(0.0,), beat_control=(0.0,))
    (rows,) = compose(Decoding(engine_for(network), control, options))
    return realize(rows, control, options, title=f"sample {seed}")


RECIPES: dict[str, Callable[[Music, TrainingOptions, Any], Recipe]] = {
    "composer": event_recipe,
    "paper": paper_recipe,
}
