"""Make one step in each of several processes, and write down batches and gradients: run by `torchrun`."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from cmt_bridge.training.dataset import open_dataset
from cmt_bridge.training.loop import Training
from cmt_bridge.training.options import TrainingOptions
from cmt_bridge.training.process_group import join
from cmt_bridge.training.recipe import recipe_for

OPTIONS = TrainingOptions(network="paper", size="tiny", batch=3, length=700, clip=0.0, optimizer="adamw", device="cpu")


def main(data: Path, output: Path) -> None:
    recipe = recipe_for(open_dataset(data), OPTIONS)
    for module in recipe.network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    world = join("cpu")
    if world.rank:  # the first's weights must win
        for weight in recipe.network.parameters():
            torch.nn.init.zeros_(weight)
    training = Training(recipe, OPTIONS, world, tell=lambda _: None)
    draw, batches = recipe.sampler.draw, []

    def noted() -> object:
        batches.append(draw())
        return batches[-1]

    object.__setattr__(recipe.sampler, "draw", noted)
    training.optimizer.step = lambda _: None  # type: ignore[method-assign]
    norm = training.step()
    (batch,) = batches
    gradients = {name: weight.grad for name, weight in recipe.network.named_parameters()}
    own = {"rows": batch.rows, "initial": batch.initial, "mask": batch.mask, "gradients": gradients}
    shared = {"norm": norm, "words": training.progress.words, "loss": training.progress.loss}
    torch.save(own | shared, output / f"{world.rank}.pt")
    world.leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
