"""Composer, player and parent of a stream are killed at random moments: what hangs after the restart?

A synthesizer that was left alone goes on sounding whatever was not ended, so a recorder stays connected all the while,
and controllers count for nothing: each note must be ended by itself.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from living.figures import Result
from tests.jack import Server, hanging, recorder, server

__all__ = ["kill"]

PROGRAM = Path(sys.executable).with_name("cmt-bridge")
MODULES = {"composer": "cmt_bridge.live.composer", "player": "cmt_bridge.player"}
BARS = 60
PATIENCE = 60.0  # s
AT_ONCE = 3  # kills before a stream is let go


class Stream:
    """The program, in a process of its own, as a person starts it."""

    def __init__(self, jack: Server, folder: Path, clip: Path) -> None:
        self.process = subprocess.Popen(
            [str(PROGRAM), "stream", str(clip), "--json", "--to", "recorder:in 1"],
            env={
                **jack.environment,
                "CMT_BRIDGE_STATE": str(folder / "state"),
                "CMT_BRIDGE_CACHE": str(folder / "cache"),
                "PYTHONFAULTHANDLER": "1",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )

    def rolls(self) -> None:
        """Wait until it plays."""
        assert self.process.stdout is not None
        until = time.monotonic() + PATIENCE
        for line in self.process.stdout:
            said = json.loads(line)
            if said["event"] == "state" and said["rolling"] and said["sounding"]:
                return
            if time.monotonic() > until:
                break
        raise TimeoutError(f"the stream does not play: {self.process.poll()}")

    def child(self, name: str) -> int | None:
        """Give the number of a process that it started, where that lives."""
        listed = subprocess.run(
            ["ps", "-o", "pid=,args=", "--ppid", str(self.process.pid)], capture_output=True, text=True, check=False
        )
        for line in listed.stdout.splitlines():
            if line.endswith(MODULES[name]):
                return int(line.split()[0])
        return None

    def end(self) -> None:
        """End it in order."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)  # it says where it stands
            self.process.communicate(timeout=PATIENCE)
            raise


def kill(folder: Path, kills: int, seed: int) -> Result:
    """Measure figure 5."""
    result = Result()
    dice = random.Random(seed)
    done: Counter[str] = Counter()
    left: list[str] = []
    rounds = unheard = struck = 0
    while sum(done.values()) < kills:
        rounds += 1
        clip = _picture(folder / f"clip {rounds}.json")
        with server(folder, realtime=True) as jack, recorder(jack) as ear:
            stream = Stream(jack, folder, clip)
            try:
                stream.rolls()
                for _ in range(dice.randint(1, AT_ONCE)):
                    time.sleep(dice.uniform(0.1, 1.5))
                    name = dice.choice(["composer", "player", "parent"])
                    number = stream.process.pid if name == "parent" else stream.child(name)
                    if number is None:
                        continue
                    with suppress(ProcessLookupError):
                        os.kill(number, signal.SIGKILL)
                        done[name] += 1
                    if name == "parent":
                        stream.end()
                        stream = Stream(jack, folder, clip)
                        stream.rolls()
                time.sleep(dice.uniform(0.5, 1.5))
            finally:
                stream.end()
            time.sleep(0.2)
            heard = ear.stop()
        struck += sum(each.is_on for each in heard)
        for key in sorted(hanging(heard)):
            last = max(each.frame for each in heard if each.is_on and each.key == key)
            missed = [each for each in ear.missed if each[1] > last]
            unheard += bool(missed)
            if not missed:
                left.append(f"round {rounds}: {key} since {last}")
    result.lines += [
        f"{sum(done.values())} kills ({', '.join(f'{name} {count}' for name, count in sorted(done.items()))}) in"
        f" {rounds} streams, {struck} notes: {len(left)} hang after the restart;"
        f" of {unheard} JACK did not let the recorder hear all"
    ]
    result.require(not left, f"hanging: {left[:5]}")
    return result


def _picture(path: Path) -> Path:
    """Write what a lively picture of two minutes would measure, so that only composing takes its time."""
    beats = [{"start_time": float(n), "bar": n // 2, "tick": n % 2 * 8, "weight": 0.9} for n in range(2 * BARS)]
    data = {"duration": 2.0 * BARS, "tempo": 120.0, "vbeats": beats, "flow_magnitude_per_bar": [0.9] * BARS}
    path.write_text(json.dumps(data))
    return path
