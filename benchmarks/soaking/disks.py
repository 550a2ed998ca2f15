"""Let disks be full, and go away, while clips wait and are scored."""

from __future__ import annotations

import time
from collections.abc import Iterator

from cmt_bridge.takes.take_folder import SUFFIX
from soaking.clips import QUICK, SLOW
from soaking.ledger import Row
from soaking.mounts import bind, fill, mounted, unmount
from soaking.trial import Soak

__all__ = ["full", "unmounted"]


def full(soak: Soak) -> Iterator[Row]:
    """Fill the disk of the watched folder, then that of the daemon's state, and free it."""
    with mounted(soak.root / "full" / "watched", "48m"):
        yield _full(soak)
    with mounted(soak.root / "full state" / "state", "2m"):
        yield _full_state(soak)


def _full(soak: Soak) -> Row:
    trial = soak.trial("full")
    world, row = trial.world, trial.row
    filler = world.folder / "filler"
    for number in range(8):
        trial.clip(f"clip {number}.mp4")
    fill(filler)
    world.start()
    paused = world.until(lambda: world.told("full"), 60)
    time.sleep(12)
    jobs = world.told("jobs") or {"waiting": 0, "running": 0}
    made = len([*world.folder.glob(f"*{SUFFIX}/take *")])
    row.facts.append(
        f"full: {'it pauses' if paused else 'it does not pause'}, {jobs['waiting'] + jobs['running']} jobs "
        f"go on waiting, {made} takes, {len(world.parts())} parts"
    )
    if not paused or made:
        row.blame("half", "it did not pause on a full disk")
    filler.unlink()
    began = time.monotonic()
    world.until(lambda: world.told("full") is False, 60)
    row.facts.append(f"goes on {time.monotonic() - began:.0f} s after there is space again")
    world.calm()
    return trial.finish()


def _full_state(soak: Soak) -> Row:
    trial = soak.trial("full state")
    world = trial.world
    filler = world.state / "filler"
    for number in range(20):
        trial.clip(f"clip {number}.mp4")
    world.start()
    world.reaches("")
    fill(filler)
    time.sleep(15)
    said = "lives" if world.lives else "has ended"
    trial.row.facts.append(f"where its own state cannot be written, the daemon {said}")
    filler.unlink()
    if not world.lives:
        world.start()
    world.calm(limit=240)
    return trial.finish()


def unmounted(soak: Soak) -> Iterator[Row]:
    """Unmount the watched folder while clips wait, by force while one is scored, and mount it again."""
    for name, options in (("unmounted", ()), ("torn out", ("--lazy",))):
        disk, folder = soak.root / name / "disk", soak.root / name / "watched"
        folder.mkdir(parents=True)
        with mounted(disk, "64m"):
            bind(disk, folder)
            trial = soak.trial(name)
            world, row = trial.world, trial.row
            for number in range(24):
                path = f"{trial.dice.choice(('', 'a/', 'b c/'))}clip {number}.mp4"
                trial.clip(path, SLOW if number % 6 == 5 else QUICK)
            world.start()
            bare = set()
            for stage in ("measure", "compose", "deliver", ""):
                world.reaches(stage)
                began = time.monotonic()
                while not unmount(folder, *options):
                    time.sleep(0.02)
                seconds = time.monotonic() - began
                time.sleep(5)
                there = "there" if world.told("there") else "away"
                row.facts.append(f"{stage or 'any time'}: gone after {seconds:.1f} s, told to be {there}")
                bare |= {str(path.relative_to(folder)) for path in folder.rglob("*")}
                bind(disk, folder)
                world.until(lambda world=world: world.told("there"), 60)
            for path in sorted(bare):
                row.blame("stray", f"{path} was written where the disk was not")
            world.calm()
            row.facts.append(f"{len(world.jobs('failed'))} jobs are listed as failed, since their clips were away")
            yield trial.finish()
            unmount(folder, "--lazy")
