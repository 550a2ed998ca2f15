"""A real JACK server for a test, and who listens at it: nothing here knows cmt-bridge."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

PATIENCE = 20.0  # s
RECORDER = Path(__file__).with_name("recorder.py")
TRIES = 10
NAMES = 5  # JACK keeps eight servers in mind, also those that were killed, until one of the same name starts


class NoJackError(AssertionError):
    """JACK is not installed, or does not start."""


@dataclass(frozen=True)
class Server:
    """A JACK server of our own: its name, process, and what it says."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    rate: int
    period: int

    @property
    def environment(self) -> dict[str, str]:
        """The environment of its clients."""
        return {**os.environ, "JACK_DEFAULT_SERVER": self.name, "JACK_NO_START_SERVER": "1"}

    def xruns(self) -> int:
        """Count the times that it was late so far."""
        return self.log.read_text(errors="replace").count("JackEngine::XRun")

    @property
    def is_garbled(self) -> bool:
        """Whether it has got what it does not understand: two threads of a client wrote to it at once.

        Ardour 7.3 now and then does that as it connects its ports, and waits for an answer for ever.
        """
        return "Unknown request" in self.log.read_text(errors="replace")

    def run(self, *command: str) -> str:
        """Run a program as a client; give what it prints."""
        done = subprocess.run(
            command, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE
        )
        return done.stdout

    def ports(self) -> list[str]:
        """Give the names of all ports."""
        return self.run("jack_lsp").split("\n")[:-1]

    def connect(self, source: str, target: str) -> None:
        """Connect two ports, as soon as they are there."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            if {source, target} <= set(self.ports()):
                self.run("jack_connect", source, target)
                if target in self.run("jack_lsp", "-c", source):
                    return
            time.sleep(0.05)
        raise AssertionError(f"{source} and {target} cannot be connected; there are {self.ports()}")


@contextmanager
def server(
    folder: Path, *, period: int = 256, rate: int = 48000, realtime: bool = False, patient: bool = False
) -> Iterator[Server]:
    """Run a JACK server with the dummy driver while the body runs.

    A patient one waits for each client in each period: on a busy machine its time is longer, but nothing is missed.
    """
    if shutil.which("jackd") is None:
        raise NoJackError("JACK is not installed: apt install jackd2")
    with _name() as name:
        yield from _running(name, folder, period, rate, realtime=realtime, patient=patient)


@contextmanager
def _name() -> Iterator[str]:
    """Have one of a few names to ourselves."""
    until = time.monotonic() + 10 * PATIENCE
    while True:
        for number in range(NAMES):
            lock = FileLock(Path(tempfile.gettempdir()) / f"cmt-test-{number}.lock")
            with suppress(Timeout):
                lock.acquire(blocking=False)
                try:
                    yield f"cmt-test-{number}"
                finally:
                    lock.release()
                return
        if time.monotonic() > until:
            raise NoJackError(f"{NAMES} JACK servers of tests run already")
        time.sleep(0.5)


def _running(name: str, folder: Path, period: int, rate: int, *, realtime: bool, patient: bool) -> Iterator[Server]:
    log = folder / f"{name}-{time.monotonic_ns()}.log"
    scheduling = [*(["-R", "-P", "70"] if realtime else ["-r"]), *(["-S"] if patient else [])]
    command = ["jackd", "-n", name, *scheduling, "-d", "dummy", "-r", str(rate), "-p", str(period)]
    for attempt in range(TRIES):
        with log.open("wb") as file:
            process = subprocess.Popen(command, stdout=file, stderr=file)
        found = Server(name, process, log, rate, period)
        until = time.monotonic() + PATIENCE
        while not (there := found.ports()) and process.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        if there and process.poll() is None:  # one of the same name that is still ending answers too
            break
        process.kill()
        process.wait()
        if "already active" not in log.read_text() or attempt == TRIES - 1:
            raise NoJackError(f"JACK does not start; reinstall it (apt install jackd2): {log.read_text()}")
        time.sleep(1.0)  # the one before it is still ending
    try:
        yield found
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@dataclass(frozen=True)
class Heard:
    """A message as it arrived: JACK's frame time, the number of the recorder's port, the bytes.

    `time` is the monotonic clock in ns, as far as the recorder was woken in time.
    """

    frame: int
    port: int
    data: bytes
    time: int = 0

    @property
    def kind(self) -> int:
        return self.data[0] & 0xF0

    @property
    def is_on(self) -> bool:
        return self.kind == 0x90 and self.data[2] > 0

    @property
    def is_off(self) -> bool:
        return self.kind == 0x80 or (self.kind == 0x90 and self.data[2] == 0)

    @property
    def key(self) -> tuple[int, int]:
        return self.data[0] & 0x0F, self.data[1]


@dataclass(frozen=True)
class RecordedMotion:
    """JACK's transport from a frame time on: whether it rolls, and the frame that it is at then."""

    frame: int
    rolls: bool
    at: int


class Recorder:
    """A client in a process of its own that writes down whatever comes, with its frame; and no more than that.

    After the stop, `motions` are those that JACK's transport took meanwhile, `xruns` the times that JACK was late, and
    `missed` the frames from and to which JACK did not let it listen.
    """

    def __init__(self, server: Server, name: str = "recorder", ports: int = 1) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(RECORDER), name, str(ports)],
            env=server.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._server = server
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.communicate()
            raise AssertionError("JACK has ended, and nothing can be recorded")
        self.inputs: list[str] = json.loads(line)
        self.xruns = 0
        self.motions: list[RecordedMotion] = []
        self.missed: list[tuple[int, int]] = []

    def listen(self, source: str, port: int = 0) -> None:
        """Connect a port to an input."""
        self._server.connect(source, self.inputs[port])

    def stop(self) -> list[Heard]:
        """End it; give all that came."""
        output, _ = self._process.communicate("", timeout=PATIENCE)
        heard = json.loads(output)
        self.xruns = heard["xruns"]
        self.motions = [RecordedMotion(frame, rolls, at) for frame, rolls, at in heard["motions"]]
        self.missed = [(first, last) for first, last in heard["missed"]]
        return [Heard(frame, port, bytes.fromhex(data), at) for frame, port, data, at in heard["events"]]

    def close(self) -> None:
        """End the process, if it still runs."""
        if self._process.poll() is None:
            with suppress(Exception):
                self.stop()
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


@contextmanager
def recorder(server: Server, name: str = "recorder", ports: int = 1) -> Iterator[Recorder]:
    """Record while the body runs."""
    found = Recorder(server, name, ports)
    try:
        yield found
    finally:
        found.close()


def hanging(heard: Sequence[Heard]) -> set[tuple[int, int]]:
    """Give the keys that sound at the end, by notes alone: controllers end nothing here."""
    sounding: set[tuple[int, int]] = set()
    for each in heard:
        if each.is_on:
            sounding.add(each.key)
        elif each.is_off:
            sounding.discard(each.key)
    return sounding


class Transport:
    """A client that moves JACK's transport and says where it is."""

    def __init__(self, server: Server, name: str = "transport") -> None:
        import jack  # it needs JACK's library, whose absence `server` tells in better words

        self._rolling = jack.ROLLING
        self._client = jack.Client(name, servername=server.name, no_start_server=True)
        self._client.activate()

    def play(self) -> None:
        """Roll."""
        self._client.transport_start()

    def stop(self) -> None:
        """Stand."""
        self._client.transport_stop()

    def locate(self, frame: int) -> None:
        """Go to a frame, rolling or not."""
        self._client.transport_frame = frame

    def query(self) -> tuple[bool, int]:
        """Give whether it rolls, and its frame."""
        state, position = self._client.transport_query_struct()
        return state == self._rolling, int(position.frame)

    def close(self) -> None:
        """Leave the server."""
        self._client.deactivate()
        self._client.close()


@contextmanager
def transport(server: Server) -> Iterator[Transport]:
    """Hold JACK's transport while the body runs."""
    found = Transport(server)
    try:
        yield found
    finally:
        found.close()


def read_line(process: subprocess.Popen[Any], patience: float = PATIENCE) -> Any:
    """Give the next line of JSON that a process prints."""
    ready, _, _ = select.select([process.stdout], [], [], patience)
    assert ready, "nothing is said"
    line = process.stdout.readline()  # type: ignore[union-attr]
    assert line, f"it ended: {process.poll()}"
    return json.loads(line)
