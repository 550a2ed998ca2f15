"""Let many files come at once, a tenth of them broken; look at memory and processor before and after."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from cmt_bridge.core.files import sha256_of
from soaking.clips import Clips
from soaking.ledger import Row
from soaking.processes import cpu_seconds, memory
from soaking.trial import Soak, Trial
from soaking.world import CALM_SECONDS, PATIENT_SECONDS, World

__all__ = ["drop"]

FOLDERS = ("", "Urlaub 2024/", "Urlaub 2024/Tag 1 – früh/", "日本/旅 行/", "a/b/c/d/e/", "it's 100% [ok]/", "Ω & ∑/")
NAMES = ("clip", "Klip ü", "影片", "a  b")
ENDINGS = ("mp4", "mp4", "mov", "mkv", "avi")
OTHERS = ("txt", "jpg", "wav", "mp4.part", "srt")  # endings of files that are no videos, or not yet


def drop(soak: Soak) -> Iterator[Row]:
    """Make all files outside of the watched folder, and copy them into it without a pause."""
    trial = soak.trial("drop")
    world, dice, files, facts = trial.world, trial.dice, trial.expected.files, trial.row.facts
    stage = world.root / "stage"
    _fill(stage, trial, soak.files)
    world.start()
    time.sleep(CALM_SECONDS)
    before = _idle(world, soak.idle)
    began = time.monotonic()
    for name in dice.sample(sorted(files), len(files)):
        (world.folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(stage / name, world.folder / name)
    copied = time.monotonic() - began
    world.calm(PATIENT_SECONDS)
    minutes = (time.monotonic() - began - PATIENT_SECONDS) / 60
    facts.append(f"{len(files)} files within {copied:.1f} s, all done after {minutes:.1f} min")
    facts.append(f"{'the daemon':20}{'MB':>8}{'of a core':>12}")
    facts.append(f"{'idle at the start':20}{before}")
    facts.append(f"{'peak':20}{world.daemon_peak:8.1f}")
    facts.append(f"{'idle at the end':20}{_idle(world, soak.idle)}")
    facts.append(f"{'peak of the worker':20}{world.worker_peak:8.1f}")
    shutil.rmtree(stage)
    yield trial.finish(PATIENT_SECONDS)


def _fill(stage: Path, trial: Trial, count: int) -> None:
    """Make clips, broken ones, files that are no videos, copies under other names, and what is known to be bad."""
    dice, expected = trial.dice, trial.expected
    broken, others, copies = count // 10, count // 20, count // 100
    for number in range(count - broken - others):
        name = f"{dice.choice(FOLDERS)}{dice.choice(NAMES)} {number}.{dice.choice(ENDINGS)}"
        expected.add(name, trial.clips.make(stage / name))
    for number in range(broken):
        name = f"{dice.choice(FOLDERS)}broken {number}.mp4"
        expected.files[name] = _break(trial.clips, stage / name, number, dice)
        expected.notes.add(name)
    for number in range(others):
        name = f"{dice.choice(FOLDERS)}other {number}.{dice.choice(OTHERS)}"
        (stage / name).parent.mkdir(parents=True, exist_ok=True)
        (stage / name).write_bytes(dice.randbytes(2000))
        expected.files[name] = sha256_of(stage / name)
    for sha256 in dice.sample(sorted(expected.once), copies):
        name = f"copies/of {Path(expected.once[sha256]).name}"
        (stage / name).parent.mkdir(exist_ok=True)
        shutil.copy(stage / expected.once[sha256], stage / name)
        expected.files[name] = sha256
    for file in trial.clips.bad:
        name = f"bad/{file.name}"
        (stage / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(file, stage / name)
        expected.files[name] = sha256_of(file)
        expected.maybe.add(expected.files[name])


def _break(clips: Clips, path: Path, number: int, dice: random.Random) -> str:
    """Write a file that is no video, in one of several ways; give the hash of its content."""
    clips.make(path)
    data = path.read_bytes()
    ways = (
        b"",
        f"This is no video. {number}\n".encode() * 40,
        dice.randbytes(40_000),
        data[: len(data) // 2],
        data[:4] + dice.randbytes(600) + data[604:-2000] + dice.randbytes(2000),
        b"\xff\xd8\xff\xe0" + dice.randbytes(5000),
    )
    path.write_bytes(ways[number % len(ways)])
    return sha256_of(path)


def _idle(world: World, seconds: float) -> str:
    """Give memory in MB, and the share of a core that the daemon takes, in two columns."""
    before = cpu_seconds(world.pid)
    time.sleep(seconds)
    return f"{memory(world.pid):8.1f}{(cpu_seconds(world.pid) - before) / seconds:12.2%}"
