"""Start several daemons at once, on one folder and on folders in each other."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from cmt_bridge.service.instance import instances
from soaking.ledger import Row
from soaking.trial import Soak, Trial

__all__ = ["two"]

STARTS = 20
TAKEN = 2  # the exit code of a daemon whose folder another one has


def two(soak: Soak) -> Iterator[Row]:
    """Start two or four daemons again and again; one of them must go on, and no other."""
    trial = soak.trial("two")
    world, dice = trial.world, trial.dice
    said: Counter[str] = Counter()
    top, inner = world.folder, world.folder / "in" / "ner"
    inner.mkdir(parents=True)
    for number in range(STARTS):
        trial.clip(f"{dice.choice(('', 'in/', 'in/ner/'))}clip {number}.mp4")
        folders = [top] * 4 if number < STARTS // 2 else [top, inner, inner.parent, top]
        folders = folders[: 2 if number % 2 else 4]
        dice.shuffle(folders)
        said[_race(trial, folders)] += 1
    trial.row.facts += [f"{count} times {what}" for what, count in sorted(said.items())]
    world.start()
    world.calm()
    yield trial.finish()


def _race(trial: Trial, folders: Sequence[Path]) -> str:
    """Start a daemon for each folder at once, and end them all in a while; tell how many went on."""
    world, dice = trial.world, trial.dice
    processes = [world.launch(folder) for folder in folders]
    world.until(lambda: sum(each.poll() is None for each in processes) <= 1, 60)
    time.sleep(1.0)
    living = [each.pid for each in processes if each.poll() is None]
    known = [each.pid for each in instances()]
    codes = Counter(each.returncode for each in processes if each.returncode is not None)
    if len(living) != 1 or known != living or set(codes) - {TAKEN}:
        trial.row.blame("doubled", f"{len(living)} live, {len(known)} are known, exit codes {dict(codes)}")
    time.sleep(dice.uniform(0, 4))
    for each in processes:
        if each.poll() is None:
            each.kill() if dice.random() < 0.5 else each.terminate()
    for each in processes:
        each.wait()
    return f"{len(living)} of {len(processes)} go on"
