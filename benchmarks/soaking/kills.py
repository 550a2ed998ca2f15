"""Kill daemon, worker and both, in every stage, while clips are scored and people ask for more."""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from cmt_bridge.takes.take_folder import SUFFIX
from soaking.clips import SLOW
from soaking.ledger import Row
from soaking.trial import Soak, Trial
from soaking.world import START_SECONDS, World

__all__ = ["kills"]

FEW = 4  # clips that wait at least while the daemon is killed
SHAPE = (18, 4)
AIM_SECONDS = {"measure": 0.4, "compose": 0.3, "deliver": 0.02}  # how long after its beginning a stage is hit at most
STAGES = ("starting", "idle", "begun", "measure", "compose", "deliver")
VICTIMS = ("daemon", "worker", "both")


def kills(soak: Soak) -> Iterator[Row]:
    """Kill as many times as is wanted, then compare with an undisturbed run; then have a clip given up."""
    trial = soak.trial("kills")
    world, dice, row = trial.world, trial.dice, trial.row
    hit: Counter[tuple[str, str]] = Counter()
    tallies: Counter[str] = Counter()
    world.start()
    with ThreadPoolExecutor(1) as asker:
        for number in range(soak.kills):
            waiting = (world.told("jobs") or {}).get("waiting", FEW)
            for _ in range(FEW if waiting < FEW else 0):
                trial.clip(f"{dice.choice(('', 'a b/', 'ä/'))}clip {len(trial.expected.once)}.mp4", SHAPE)
            if number % 8 == 1:
                tallies[_ask_for_more(world, dice)] += 1
            parts = world.parts()
            _wait_to_kill(world, dice, ("any", *AIM_SECONDS)[number % 4])
            running = world.jobs("running") if world.answers() else None
            killed, pids = _aim(world, dice, VICTIMS[number % 3])
            if number % 8 == 5:
                asking = asker.submit(_ask_for_more, world, dice)
                time.sleep(dice.uniform(0.0, 0.02))  # while it is answered
                world.kill(*pids)
                tallies[asking.result()] += 1
            else:
                world.kill(*pids)
            for stage in _stages(world, running, killed):
                hit[killed, stage] += 1
            tallies["half-way"] += len(world.parts() - parts) > 0
            if not world.lives:
                world.start(wait=dice.random() < 0.7)
    world.until(world.answers, START_SECONDS)
    world.calm()
    row.facts.append(f"{'kills by stage':16}" + "".join(f"{stage:>10}" for stage in STAGES))
    row.facts += [f"{who:16}" + "".join(f"{hit[who, stage]:10}" for stage in STAGES) for who in VICTIMS]
    row.facts.append(
        f"{len(trial.expected.once)} clips; {tallies['taken']} requests taken on, {tallies['silent']} without an "
        f"answer, {tallies['refused']} refused; {tallies['half-way']} kills left something under a temporary name"
    )
    trial.finish()
    _compare(trial, soak.world("undisturbed"))
    yield row
    yield _given_up(soak)


def _ask_for_more(world: World, dice: random.Random) -> str:
    """Ask for more takes of a clip that has one; tell what came of it."""
    done = sorted({job["path"] for job in world.jobs("done") if job["kind"] == "score"})
    if not done:
        return "nothing"
    body: dict[str, Any] = {"path": dice.choice(done), "variations": dice.choice((1, 2)), "seed": dice.randrange(10**6)}
    verb = dice.choice(("score", "regenerate", "regenerate"))
    answer = world.ask("POST", f"/v1/{verb}", body | ({"bars": "1", "candidates": 2} if verb == "regenerate" else {}))
    return "silent" if answer is None else "refused" if "refused" in answer else "taken"


def _wait_to_kill(world: World, dice: random.Random, aim: str) -> None:
    """Wait for a random instant, or one in a stage, at which no job is on its third try."""
    if aim == "any":
        time.sleep(5.0 * dice.random() ** 2)
    else:
        world.reaches(aim, seconds=15.0)
        time.sleep(dice.uniform(0.0, AIM_SECONDS[aim]))
    while any(job["state"] in ("waiting", "running") and job["tries"] >= 2 for job in world.table()):
        spared = world.until(lambda: not any(job["tries"] >= 3 for job in world.jobs("running")), 30.0)
        if spared and world.answers():
            return
        time.sleep(0.05)


def _aim(world: World, dice: random.Random, who: str) -> tuple[str, list[int]]:
    """Choose the processes to kill: the daemon where there is no worker."""
    workers = world.workers()
    if who == "daemon" or not workers:
        return "daemon", [world.pid]
    return who, [dice.choice(workers)] if who == "worker" else dice.sample([world.pid, *workers], 1 + len(workers))


def _stages(world: World, running: list[dict[str, Any]] | None, killed: str) -> list[str]:
    """Give the stages that a kill hit: those on the disk where the daemon died, else those it told of."""
    if running is None:
        return ["starting"]
    found = [job["stage"] for job in (running if killed == "worker" else world.table()) if job["state"] == "running"]
    return [stage or "begun" for stage in found] or ["idle"]


def _compare(trial: Trial, plain: World) -> None:
    """Score the same clips in a world where nobody is killed; first takes must be the same, byte by byte."""
    for name in trial.expected.files:
        (plain.folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(trial.world.folder / name, plain.folder / name)
    plain.start()
    plain.calm()
    plain.end()
    same = 0
    for clip in map(Path, trial.expected.files):
        for file in ("score.json", "metadata.json", f"{clip.stem}.mid"):
            path = clip.with_suffix(SUFFIX) / "take 1" / file
            one, two = trial.world.folder / path, plain.folder / path
            if one.is_file() and two.is_file():
                if one.read_bytes() == two.read_bytes():
                    same += 1
                else:
                    trial.row.blame("half", f"{one} differs from an undisturbed run")
    trial.row.facts.append(f"{same} files of first takes are those of an undisturbed run, byte by byte")


def _given_up(soak: Soak) -> Row:
    """Kill the daemon five times while it is at one clip, and the worker three times at another."""
    trial = soak.trial("given up")
    world, expected = trial.world, trial.expected
    world.start()
    trial.clip("daemon.mp4", SLOW)
    for _ in range(5):
        if world.reaches("measure"):
            world.kill(world.pid)
            world.start()
    world.calm()
    expected.files["worker.mp4"] = sha256 = soak.clips.make(world.folder / "worker.mp4", SLOW)
    expected.notes.add("worker.mp4")
    expected.maybe.add(sha256)
    for tries in (1, 2, 3):
        if world.reaches("measure", tries):
            world.kill(*world.workers())
    world.calm()
    return trial.finish()
