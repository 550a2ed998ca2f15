"""A daemon, and all that it sees of the world."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from cmt_bridge.core.files import is_temporary
from cmt_bridge.errors import CmtBridgeError
from cmt_bridge.service.client import Client
from cmt_bridge.service.instance import STATE_VARIABLE, instance_for
from soaking.processes import children, memory, with_variable

__all__ = ["CALM_SECONDS", "PATIENT_SECONDS", "START_SECONDS", "World"]

CACHE_VARIABLE = "CMT_BRIDGE_CACHE"
START_SECONDS = 30.0
CALM_SECONDS = 7.0  # nothing waits or runs for so long: more than a file takes to settle, and to be found
PATIENT_SECONDS = 30.0  # the same where broken files get their second chance first
GIVE_UP_SECONDS = 3600.0
LOG_LINES = 12


class World:
    """A watched folder with state, cache and home of its own, and the daemon that watches it.

    Environment variables of this process are set, since the client reads them as a person's program would.
    """

    def __init__(self, root: Path, settings: str) -> None:
        self.root, self.folder, self.home, self.state = root, root / "watched", root / "home", root / "state"
        self.process: subprocess.Popen[bytes] | None = None
        self.daemon_peak = self.worker_peak = 0.0
        self.began = time.monotonic()
        self._client: Client | None = None
        for path in (self.folder, self.home, self.state):
            path.mkdir(parents=True, exist_ok=True)
        (self.folder / "cmt-bridge.toml").write_text(settings)
        os.environ |= {STATE_VARIABLE: str(self.state), CACHE_VARIABLE: str(root / "cache")}
        self.environment = {**os.environ, "HOME": str(self.home)}
        self._ended = threading.Event()
        threading.Thread(target=self._sample, daemon=True).start()

    @property
    def pid(self) -> int:
        """The daemon's process, whether it lives or not; it must have been started once."""
        assert self.process is not None
        return self.process.pid

    @property
    def lives(self) -> bool:
        """Whether the daemon's process runs."""
        return self.process is not None and self.process.poll() is None

    def launch(self, folder: Path, before: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """Start a daemon for a folder in this world."""
        with (self.root / "log").open("ab") as log:
            return subprocess.Popen(
                [*before, sys.executable, "-m", "cmt_bridge", "watch", str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
                start_new_session=True,
            )

    def start(self, before: Sequence[str] = (), wait: bool = True) -> None:
        """Start the daemon, by way of another command where one is given, and wait until it answers."""
        self._client = None
        self.process = self.launch(self.folder, before)
        if wait:
            self.until(lambda: self.answers() or not self.lives, START_SECONDS)
            if not self.answers():
                raise RuntimeError(f"The daemon does not start:\n{self.log()}")

    def ask(self, method: str, route: str, body: Any = None, **query: object) -> dict[str, Any] | None:
        """Ask the daemon; None where it does not answer."""
        if not self.lives:
            return None
        try:
            if self._client is None:
                instance = instance_for(self.folder)
                if instance is None or not instance.port or instance.pid != self.pid:
                    return None
                self._client = Client(instance)
            return self._client.request(method, route, body, query or None)
        except CmtBridgeError as error:
            return None if error.exit_code == 1 else {"refused": str(error)}

    def told(self, what: str) -> Any:
        """Give what the daemon's status says of something; None where it does not answer."""
        return (self.ask("GET", "/v1/status") or {}).get(what)

    def answers(self) -> bool:
        """Tell whether the daemon answers."""
        return self.told("jobs") is not None

    def jobs(self, state: str | None = None) -> list[dict[str, Any]]:
        """Give the latest jobs that the daemon lists, those in a state where one is given."""
        query = {"state": state} if state else {}
        return list((self.ask("GET", "/v1/jobs", limit=1000, **query) or {}).get("jobs", []))

    def reaches(self, stage: str, tries: int = 0, seconds: float = START_SECONDS) -> bool:
        """Wait until a job is in a stage, in any where none is given, and on that try; as closely as can be."""

        def there() -> bool:
            return any(stage in ("", job["stage"]) and tries in (0, job["tries"]) for job in self.jobs("running"))

        return self.until(there, seconds, 0.001)

    def until(self, true: Callable[[], Any], seconds: float, pause: float = 0.02) -> bool:
        """Wait until something is true; False where the time, or this world, ended before."""
        end = time.monotonic() + seconds
        while not (found := true()) and time.monotonic() < end and not self._ended.is_set():
            time.sleep(pause)
        return bool(found)

    def calm(self, seconds: float = CALM_SECONDS, limit: float = GIVE_UP_SECONDS) -> None:
        """Wait until nothing has waited or run for so many seconds."""
        since = time.monotonic()

        def is_calm() -> bool:
            nonlocal since
            jobs = self.told("jobs")
            if jobs is None or jobs["waiting"] or jobs["running"]:
                since = time.monotonic()
            return time.monotonic() - since >= seconds

        self.until(is_calm, limit, 0.25)

    def workers(self) -> list[int]:
        """Give the processes of the daemon's workers."""
        return children(self.pid)

    def kill(self, *pids: int) -> None:
        """Kill processes at once; the daemon's own is waited for."""
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.process and self.pid in pids:
            self.process.wait()

    def stop(self) -> bool:
        """End the daemon in order, by force where that does not help; tell whether it ended by itself."""
        if self.process is None or not self.lives:
            return True
        self.process.terminate()
        try:
            return self.process.wait(20) == 0
        except subprocess.TimeoutExpired:
            self.kill(self.pid, *self.workers())
            return False

    def end(self) -> list[int]:
        """End all that is left of this world; give the processes that should have been gone by then."""
        self.stop()
        self.until(lambda: not self._mine(), 5.0)
        self._ended.set()
        left = self._mine()
        self.kill(*left)
        return left

    def _mine(self) -> list[int]:
        return with_variable(STATE_VARIABLE, str(self.state))

    def log(self) -> str:
        """Give the last lines that the daemon wrote."""
        return "\n".join((self.root / "log").read_text(errors="replace").splitlines()[-LOG_LINES:])

    def parts(self) -> set[str]:
        """Give the temporary names of what is being written; folders may go while they are looked at."""
        return {name for _, folders, files in os.walk(self.folder) for name in (*folders, *files) if is_temporary(name)}

    def table(self) -> list[sqlite3.Row]:
        """Give the rows of all job tables, read from copies, so that nothing is done to what was left."""
        rows = []
        for folder in self.state.glob("*/"):
            with tempfile.TemporaryDirectory() as name:
                for file in folder.glob("jobs.db*"):
                    if not file.name.endswith("-shm"):
                        shutil.copy(file, name)
                with closing(sqlite3.connect(Path(name, "jobs.db"))) as database:
                    database.row_factory = sqlite3.Row
                    with suppress(sqlite3.DatabaseError):
                        rows += database.execute("SELECT * FROM jobs").fetchall()
        return rows

    def _sample(self) -> None:
        while not self._ended.wait(0.2):
            if self.lives:
                self.daemon_peak = max(self.daemon_peak, memory(self.pid, "VmHWM"))
                self.worker_peak = max(self.worker_peak, *(memory(pid, "VmHWM") for pid in self.workers()), 0.0)
