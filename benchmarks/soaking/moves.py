"""Do to files what people and programs do, while the daemon works on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from soaking.clips import SLOW
from soaking.ledger import Row
from soaking.movers import Movers
from soaking.trial import Soak
from soaking.world import PATIENT_SECONDS

__all__ = ["moves"]


def moves(soak: Soak) -> Iterator[Row]:
    """Do everything at once, in a random order, and wait until it is scored."""
    trial = soak.trial("moves")
    trial.world.start()
    ways = _ways(Movers(trial))
    trial.dice.shuffle(ways)
    with ThreadPoolExecutor(len(ways)) as pool:
        try:
            for way in [pool.submit(way) for way in ways]:
                way.result()
        except BaseException:
            trial.world.end()  # so that nobody waits for it any more
            raise
    trial.world.calm(PATIENT_SECONDS)
    yield trial.finish(PATIENT_SECONDS)


def _ways(do: Movers) -> list[Callable[[], None]]:
    ways: list[Callable[[], None]] = []
    for k in range(3):
        ways += [
            partial(do.slowly, f"slow/open {k}.mp4", 1.0 + k),
            partial(do.slowly, f"slow/closed {k}.mp4", 1.0 + 2 * k, close=True),
            partial(do.slowly, f"slow/renamed {k}.mp4", 1.0 + k, halfway=f"slow/new {k}.mp4"),
            partial(do.slowly, f"slow/moved {k}.mp4", 1.0 + k, halfway=f"else where/moved {k}.mp4", close=True),
            partial(do.slowly, f"slow/{k}.mp4.part", 0.7, then=f"slow/part {k}.mp4"),
            partial(do.slowly, f"slow/.{k}.mp4.Xy12", 0.7, then=f"slow/hidden {k}.mp4"),
            partial(do.moved, f"was {k}.mp4", f"is {k}.mp4", "waiting"),
            partial(do.moved, f"here {k}.mp4", f"there/here {k}.mp4", "waiting"),
            partial(do.moved, f"done {k}.mp4", f"later/done {k}.mp4", "done"),
            partial(do.folder_moved, f"folder {k}", f"renamed {k}", "waiting"),
            partial(do.replaced, f"replaced while waiting {k}.mp4", "waiting"),
            partial(do.replaced, f"replaced when done {k}.mp4", "done"),
            partial(do.swapped, f"swapped {k}.mp4", f"and {k}.mp4", "waiting"),
            partial(do.deleted, f"deleted while waiting {k}.mp4", "waiting"),
        ]
    for stage in ("measure", "compose", "deliver"):
        ways += [
            partial(do.moved, f"at {stage}.mp4", f"after {stage}.mp4", "running", stage, SLOW),
            partial(do.moved, f"from {stage}.mp4", f"to/from {stage}.mp4", "running", stage, SLOW),
            partial(do.folder_moved, f"at {stage}", f"after {stage}", "running", stage, SLOW),
            partial(do.replaced, f"replaced at {stage}.mp4", "running", stage),
            partial(do.deleted, f"deleted at {stage}.mp4", "running", stage),
        ]
    return ways
