"""A player's process as whoever started it sees it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from tests.jack import Server

__all__ = ["Player", "player"]

PATIENCE = 30.0  # s


class Player:
    """The process, its last state, and whatever else it said."""

    def __init__(self, server: Server, order: Mapping[str, Any]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cmt_bridge.player"],
            env=server.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.said: list[dict[str, Any]] = []
        self.state: dict[str, Any] = {}
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.say(do="open", **order)

    def say(self, **message: Any) -> None:
        """Ask for something; nothing comes of it once the process is gone."""
        assert self.process.stdin is not None
        with suppress(OSError):
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()

    def wait(self, event: str, patience: float = PATIENCE) -> dict[str, Any]:
        """Give the first message of a kind."""
        return self.until(lambda: next((each for each in self.said if each["event"] == event), None), event, patience)

    def until(self, true: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
        """Wait until something holds of what was said."""
        end = time.monotonic() + patience
        with self._news:
            while not (found := true()):
                if not self._news.wait(max(0.0, end - time.monotonic())) and time.monotonic() >= end:
                    raise TimeoutError(f"no {what}; the last were {self.said[-3:]} {self.state}")
        return found

    def feed(self, bars: Sequence[list[object]], ahead: int = 16) -> Iterator[None]:
        """Feed bars so that some are in hand; it goes on whenever the next is asked for."""
        for number, bar in enumerate(bars):
            while number > self.state.get("bar", 0) + ahead:
                yield
            self.say(do="bars", bars=[bar])
        self.say(do="end", bars=len(bars))

    def close(self) -> None:
        """Let its input end, and wait."""
        assert self.process.stdin is not None
        with suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            said = json.loads(line)
            with self._news:
                if said["event"] == "state":
                    self.state = said
                else:
                    self.said.append(said)
                self._news.notify_all()


@contextmanager
def player(server: Server, **order: Any) -> Iterator[Player]:
    """Run a player while the body runs."""
    found = Player(server, order)
    try:
        yield found
    finally:
        found.close()


def quiet_environment() -> dict[str, str]:
    """The environment of a composer that leaves a core to the others."""
    return {**os.environ, "OMP_NUM_THREADS": "1"}
