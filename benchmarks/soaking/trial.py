"""What a scenario is given: a world of its own, dice, and a row to fill."""

from __future__ import annotations

import os
import random
import time
from dataclasses import dataclass, field
from pathlib import Path

from cmt_bridge.core.files import is_temporary
from soaking.clips import QUICK, Clips
from soaking.inspection import inspect
from soaking.ledger import Expected, Row
from soaking.world import CALM_SECONDS, World

__all__ = ["Soak", "Trial"]

OLD_SECONDS = 3600.0  # an age at which what was half-written is removed


@dataclass
class Trial:
    """One world, what is done to it and what is expected of it."""

    world: World
    clips: Clips
    dice: random.Random
    row: Row
    expected: Expected = field(default_factory=Expected)

    def clip(self, name: str, shape: tuple[int, int] = QUICK) -> None:
        """Let a clip come, which must be scored."""
        self.expected.add(name, self.clips.make(self.world.folder / name, shape))

    def finish(self, calm: float = CALM_SECONDS) -> Row:
        """Count; then start once more, when nothing is left to be done, and see that nothing is done twice."""
        world, row = self.world, self.row
        if not world.stop():
            row.blame("stray", "the daemon did not end when it was told to")
        inspect(world, self.expected, row)
        again = Row(row.name)
        old = time.time() - OLD_SECONDS
        for path in world.folder.rglob("*"):
            if is_temporary(path.name):
                os.utime(path, (old, old))
        world.start()
        world.calm(calm, limit=300)
        for pid in world.end():
            row.blame("stray", f"process {pid} was left behind")
        inspect(world, self.expected, again)
        row.doubled = max(row.doubled, again.doubled)
        row.problems += [f"after a restart, {problem}" for problem in again.problems if problem not in row.problems]
        if row.lost > again.lost:
            row.facts.append(f"{row.lost - again.lost} of {row.lost} lost ones are found after a restart")
        if row.parts:
            row.facts.append(f"{row.parts} parts were left; {again.parts} after they grew old and a restart")
        if not row.is_good:
            row.facts += ["log:", *world.log().splitlines()]
        return row


@dataclass
class Soak:
    """What all scenarios share; `idle` is in seconds."""

    root: Path
    clips: Clips
    settings: str
    kills: int
    files: int
    idle: float
    seed: int
    worlds: list[World] = field(default_factory=list)

    def world(self, name: str) -> World:
        """Make a world, which is ended at the latest when all is."""
        self.worlds.append(World(self.root / name, self.settings))
        return self.worlds[-1]

    def trial(self, name: str) -> Trial:
        """Make a world, and all else that a scenario needs."""
        return Trial(self.world(name), self.clips, random.Random(f"{self.seed} {name}"), Row(name))
