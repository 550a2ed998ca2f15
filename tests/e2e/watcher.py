"""A daemon as a person starts it: a process of its own that watches a folder."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from cmt_bridge.errors import CmtBridgeError
from cmt_bridge.service.client import Client
from cmt_bridge.service.instance import instance_for
from tests.e2e.conftest import PATIENCE, PROGRAM

__all__ = ["Watcher", "is_alive", "until"]

T = TypeVar("T")


def until(condition: Callable[[], T], what: str = "", every: float = 0.05, seconds: float = PATIENCE) -> T:
    """Wait until something is so, and give it."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"still not so: {what}"
        time.sleep(every)
    return found


def is_alive(process: int) -> bool:
    """Tell whether a process is at work: one that has ended, whether or not anybody took notice, is not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Watcher:
    """The daemon of `folder`. The tests' own environment says the same `CMT_BRIDGE_STATE` as `environment`."""

    def __init__(self, folder: Path, environment: Mapping[str, str], log: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None
        self._environment = environment
        self._log = log

    def start(self, *options: object, within: Sequence[str] = ()) -> Client:
        """Start it, by the command `within` where one is given, and wait until it answers."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [*within, *PROGRAM, "watch", str(self.folder), *map(str, options)],
                cwd=self.folder.parent,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        until(lambda: self._is_up(), "it answers")
        return self.client

    def _is_up(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.said
        instance = instance_for(self.folder)
        return instance is not None and instance.port > 0

    @property
    def client(self) -> Client:
        """A client of it."""
        instance = instance_for(self.folder)
        assert instance is not None
        return Client(instance)

    @property
    def said(self) -> str:
        """What it said so far."""
        return self._log.read_text(errors="replace")

    def status(self) -> dict[str, Any]:
        """Ask how it is."""
        return self.client.request("GET", "/v1/status")

    def jobs(self, state: str | None = None) -> list[dict[str, Any]]:
        """Ask for its jobs, the oldest first."""
        query = {"state": state} if state else None
        return list(reversed(self.client.request("GET", "/v1/jobs", query=query)["jobs"]))

    def settle(self, done: int) -> None:
        """Wait until so many jobs are done and none is left."""

        def is_so() -> bool:
            jobs = self.status()["jobs"]
            return bool(jobs["done"] >= done and not jobs["waiting"] and not jobs["running"])

        until(is_so, f"{done} jobs done; {self.said[-2000:]}")

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(PATIENCE)

    def stop(self, name: signal.Signals = signal.SIGTERM) -> int:
        """End it in order; give its exit code."""
        assert self.process is not None
        self.process.send_signal(name)
        return self.process.wait(PATIENCE)

    def end(self) -> None:
        """End it, if it is there, and the workers that it has left."""
        workers: list[int] = []
        with suppress(CmtBridgeError, AssertionError):
            workers = [each for each in self.status()["workers"].values() if each]
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(20)
            self.process.kill()
            self.process.wait()
        for each in workers:
            if is_alive(each):
                os.kill(each, signal.SIGKILL)
