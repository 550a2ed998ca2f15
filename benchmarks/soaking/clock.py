"""Let files come from other times, and the clocks jump."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from soaking.clips import QUICK, SLOW
from soaking.ledger import Row
from soaking.trial import Soak
from soaking.world import START_SECONDS

__all__ = ["clock"]

TIMES = (0, 86_400, 315_532_800, 4_102_444_800, 2**33)  # 1970, 1970, 1980, 2100, 2242
JUMPS = (86_400, -86_400, 3_000_000_000, -1_750_000_000, 0)
OFFSETS = (10_000_000, 5)  # seconds of the monotonic clock

SOURCE = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
int clock_gettime(clockid_t id, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int code = real(id, now);
    FILE *file = id == CLOCK_REALTIME ? fopen(getenv("SOAK_CLOCK"), "r") : NULL;
    long shift = 0;
    if (file) { if (fscanf(file, "%ld", &shift) == 1) now->tv_sec += shift; fclose(file); }
    return code;
}
"""
"""A wall clock that goes wrong by as many seconds as a file says."""


def clock(soak: Soak) -> Iterator[Row]:
    """Change the wall clock while the daemon runs, and start it anew where the monotonic clock is another."""
    trial = soak.trial("clock")
    world, facts = trial.world, trial.row.facts
    for number in range(30):
        name = f"clip {number}.mp4"
        trial.clip(name, SLOW if number % 10 == 9 else QUICK)
        os.utime(world.folder / name, (trial.dice.choice(TIMES), TIMES[number % len(TIMES)]))
    facts.append("files are of 1970, 1980, 2100 and 2242")
    shift = world.root / "shift"
    shift.write_text("0")
    if shutil.which("cc"):
        world.environment |= {"LD_PRELOAD": str(_library(world.root)), "SOAK_CLOCK": str(shift)}
        facts.append("the wall clock of daemon and worker jumps a day on, a day back, to 2121, to 1971, and back")
    else:
        facts.append("no compiler: the wall clock does not jump")
    world.start()
    for seconds in JUMPS:
        shift.write_text(str(seconds))
        done = len(world.jobs("done"))
        world.until(lambda done=done: len(world.jobs("done")) > done + 1, START_SECONDS, 0.1)
    for offset in OFFSETS:
        prefix = ["unshare", "--time", "--monotonic", str(offset), "--boottime", str(offset)]
        if subprocess.run([*prefix, "true"], check=False, stderr=subprocess.DEVNULL).returncode:
            facts.append("no time namespace: the monotonic clock does not jump")
            break
        world.kill(world.pid)
        world.start(prefix)
        facts.append(f"killed, and started where the monotonic clock is {offset} s ahead")
        time.sleep(3)
    trial.clip("late.mp4")
    world.calm()
    yield trial.finish()


def _library(folder: Path) -> Path:
    """Compile the clock that goes wrong."""
    source, library = folder / "clock.c", folder / "clock.so"
    source.write_text(SOURCE)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library
