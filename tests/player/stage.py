"""A player's process on a real JACK server, as the conductor drives it."""

from __future__ import annotations

import json
import os
import queue
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.jack import PATIENCE, Heard, Server

ROOT = Path(__file__).resolve().parents[2]
TRACKS = [
    {"name": "drums", "channel": 9, "program": 0},
    {"name": "piano", "channel": 0, "program": 0},
    {"name": "guitar", "channel": 1, "program": 24},
    {"name": "bass", "channel": 2, "program": 33},
    {"name": "strings", "channel": 3, "program": 48},
]
USPQ = 500_000
TICK_NS = USPQ * 250
Notes = list[list[int]]


def dense(bars: int, seed: int = 0) -> list[list[Any]]:
    """Give bars with an onset on each tick and all five tracks, no pitch of which is struck while it sounds."""
    dice = random.Random(seed)
    found: list[list[Any]] = []
    for bar in range(bars):
        notes = []
        for tick in range(bar * 16, bar * 16 + 16):
            for number, track in enumerate(TRACKS):
                if dice.random() < 0.6:
                    pitch = 36 + 16 * number + tick % 16
                    notes.append([tick, dice.randint(1, 12), track["channel"], pitch, dice.randint(40, 110)])
        found.append([bar, notes])
    return found


def errors(heard: Sequence[Heard], bars: list[list[Any]], rate: int = 48000) -> list[int]:
    """Give by how many samples each note came later than it should, when most of them came in time.

    Which is all that can be known from outside of when the music began.
    """
    wanted: dict[tuple[int, int], list[int]] = {}
    for _, notes in bars:
        for tick, _, channel, pitch, _ in sorted(notes):
            wanted.setdefault((channel, pitch), []).append(round(tick * TICK_NS * rate / 10**9))
    found = [each.frame - wanted[each.key].pop(0) for each in heard if each.is_on]
    usual = Counter(found).most_common(1)[0][0]
    return [each - usual for each in found]


class Stage:
    """The process; `say` and `wait_for` speak its protocol."""

    def __init__(self, server: Server | None, order: Mapping[str, Any], environment: Mapping[str, str]) -> None:
        self.server = server
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cmt_bridge.player"],
            cwd=ROOT,
            env={**environment, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.said: list[dict[str, Any]] = []
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        opening = {"do": "open", "tempo_map": [[0, USPQ]], "tracks": TRACKS, "backend": "jack", **order}
        self.say(**opening)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)

    def say(self, **message: Any) -> None:
        """Ask for something."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()

    def begin(self, bars: Sequence[Any], length: int) -> None:
        """Feed it bars of a piece of so many, and have it play."""
        self.say(do="bars", bars=bars)
        self.say(do="end", bars=length)
        self.say(do="play")

    def wait_for(self, event: str, patience: float = PATIENCE, **values: Any) -> dict[str, Any]:
        """Give the next message of a kind, with these values."""
        until = time.monotonic() + patience
        while time.monotonic() < until:
            try:
                message: dict[str, Any] = json.loads(self._lines.get(timeout=max(0.1, until - time.monotonic())))
            except queue.Empty:
                break
            self.said.append(message)
            if message["event"] == event and all(message.get(name) == value for name, value in values.items()):
                return message
        raise AssertionError(f"no {event} {values}; the last were {self.said[-3:]}")

    def close(self) -> None:
        """Let its input end, and wait for it."""
        assert self.process.stdin is not None
        if self.process.poll() is None:
            self.process.stdin.close()
            self.process.wait(PATIENCE)


@contextmanager
def stage(server: Server | None = None, **order: Any) -> Iterator[Stage]:
    """Run a player while the body runs."""
    found = Stage(server, order, server.environment if server is not None else os.environ)
    try:
        yield found
    finally:
        if found.process.poll() is None:
            try:
                found.close()
            except subprocess.TimeoutExpired:
                found.process.kill()
                found.process.wait()
        found._reader.join(PATIENCE)
        for pipe in (found.process.stdin, found.process.stdout):
            if pipe is not None:
                pipe.close()
