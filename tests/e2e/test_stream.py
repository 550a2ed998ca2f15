"""`cmt-bridge stream` as a person runs it, on a JACK server, with an ear of its own."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import PROGRAM, Run, check_refusal, write_metadata
from tests.jack import Recorder, Server, hanging, recorder, server

pytestmark = pytest.mark.slow

MUSIC = "cmt-bridge:music"
PATIENCE = 60  # s; for a busy machine


@pytest.fixture
def jack(tmp_path: Path) -> Iterator[Server]:
    with server(tmp_path, patient=True) as found:
        yield found


@pytest.fixture
def home(jack: Server, environment: dict[str, str]) -> dict[str, str]:
    """Give the environment of the program, at the server."""
    names = ("JACK_DEFAULT_SERVER", "JACK_NO_START_SERVER")
    return environment | {name: jack.environment[name] for name in names}


class Streaming:
    """`cmt-bridge stream … --json`, and what it says."""

    def __init__(self, folder: Path, home: dict[str, str], *arguments: object) -> None:
        self.process = subprocess.Popen(
            [*PROGRAM, "stream", *map(str, arguments), "--json"],
            cwd=folder,
            env=home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(json.loads(line))

    def hear(self, event: str, after: int = 0, **values: Any) -> dict[str, Any]:
        """Give something that is said, from some message on."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            for message in self.said[after:]:
                if message["event"] == event and values.items() <= message.items():
                    return message
            assert self._reader.is_alive(), self.end()
            time.sleep(0.02)
        raise AssertionError(f"no {event} {values}: {self.said[-3:]}")

    def end(self, number: int | None = None) -> str:
        """Send a signal, if one is said, and wait for its end; give what it says to a person."""
        if number is not None and self.process.poll() is None:
            self.process.send_signal(number)
        assert self.process.stderr is not None
        said = self.process.stderr.read()
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return said


@contextmanager
def streaming(folder: Path, home: dict[str, str], *arguments: object) -> Iterator[Streaming]:
    """Stream while the body runs."""
    found = Streaming(folder, home, *arguments)
    try:
        yield found
    finally:
        if found.process.poll() is None:
            found.end(signal.SIGINT)
        for pipe in (found.process.stdout, found.process.stderr):
            assert pipe is not None
            pipe.close()


def sounds(ear: Recorder, stream: Streaming) -> None:
    """Connect the ear, and wait until much is sounding."""
    stream.hear("ready")
    ear.listen(MUSIC)
    stream.hear("state", rolling=True, bar=1)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_whoever_has_enough_ends_it_and_every_note(
    jack: Server, home: dict[str, str], folder: Path, model: Path, name: str
) -> None:
    clip = write_metadata(folder / "clip.json", 40.0)
    with recorder(jack) as ear, streaming(folder, home, clip, "--model", model) as stream:
        sounds(ear, stream)
        assert stream.end(getattr(signal, name)) == "stopped; every note was ended\n"
        heard = ear.stop()
    assert stream.process.returncode == 130
    assert any(each.is_on for each in heard)
    assert not hanging(heard)


def test_a_killed_stream_ends_all_notes_and_processes(
    jack: Server, home: dict[str, str], folder: Path, model: Path
) -> None:
    clip = write_metadata(folder / "clip.json", 40.0)
    with recorder(jack) as ear, streaming(folder, home, clip, "--model", model) as stream:
        sounds(ear, stream)
        stream.end(signal.SIGKILL)
        until = time.monotonic() + PATIENCE
        while MUSIC in jack.ports() and time.monotonic() < until:
            time.sleep(0.1)
        heard = ear.stop()
    assert MUSIC not in jack.ports()
    assert any(each.is_on for each in heard)
    assert not hanging(heard)


def test_a_terminal_shows_progress_and_its_keys_control_it(home: dict[str, str], folder: Path, model: Path) -> None:
    write_metadata(folder / "clip.json", 40.0)
    master, terminal = pty.openpty()
    process = subprocess.Popen(
        [*PROGRAM, "stream", "clip.json", "--model", str(model)],
        cwd=folder,
        env=home,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    shown = ""

    def see(text: str) -> None:
        nonlocal shown
        until = time.monotonic() + PATIENCE
        while text not in shown:
            assert time.monotonic() < until, shown
            assert select.select([master], [], [], PATIENCE)[0], shown
            shown += os.read(master, 4096).decode()
        shown = shown[shown.rindex(text) :]

    try:
        see("keys: space play/stop")
        see("▶  2|")
        os.write(master, b"m1")
        see("muted: drums")
        os.write(master, b" ")
        see("■")
        os.write(master, b"l")
        see("loop 1-4")
        os.write(master, b"q")
        with suppress(OSError):  # the terminal ends with who uses it
            while os.read(master, 4096):
                pass
        assert process.wait(PATIENCE) == 0
    finally:
        os.close(master)
        if process.poll() is None:
            process.kill()
            process.wait()


def test_a_daemon_plays_where_one_watches_the_folder(
    jack: Server, home: dict[str, str], folder: Path, model: Path, run: Run
) -> None:
    write_metadata(folder / "clip.json", 40.0)
    (folder / "cmt-bridge.toml").write_text(f'[score]\nmodel = "{model}"\n[live]\nwarm = true\nname = "warm"\n')
    assert run("daemon", "start", folder, env=home).returncode == 0
    try:
        with recorder(jack) as ear:
            with streaming(folder, home, "clip.json", "--solo", "drums") as stream:
                stream.hear("ready")
                ear.listen("warm:music")
                stream.hear("state", rolling=True, bar=1)
                refused = run("stream", "clip.json", env=home)
                check_refusal(refused, 2)
                assert "is being played" in refused.stderr
                assert run("stream", "clip.json", "--stop", env=home).returncode == 0
                stream.end()
                assert stream.process.returncode == 0
            with streaming(folder, home, "clip.json", "--loop", "1-2") as again:
                again.hear("ready")
                ear.listen("warm:music")
                again.hear("state", rolling=True, bar=1)
                assert run("daemon", "stop", folder, env=home).returncode == 0
                again.end()
            heard = ear.stop()
        assert {each.key[0] for each in heard if each.is_on} > {9}
        assert not hanging(heard)
    finally:
        run("daemon", "stop", "--all", env=home)


def test_what_is_regenerated_elsewhere_is_heard(
    jack: Server, home: dict[str, str], folder: Path, model: Path, run: Run
) -> None:
    write_metadata(folder / "clip.json", 12.0)
    options = ("clip.json", "--model", model)
    with recorder(jack) as ear, streaming(folder, home, *options, "--loop", "1-2") as stream:
        sounds(ear, stream)
        stream.hear("take", take=1)
        done = run("regenerate", *options, "--bars", "1-2", env=home)
        assert done.returncode == 0, done.stderr
        assert set(stream.hear("take", take=2)["bars"]) <= {0, 1, 2}
        for bar in (1, 0, 1):
            stream.hear("state", len(stream.said), bar=bar)
        said = len(stream.said)
        assert run("undo", "clip.json", env=home).returncode == 0
        assert set(stream.hear("take", said, take=1)["bars"]) <= {0, 1, 2}
        stream.end(signal.SIGINT)
        heard = ear.stop()
    assert not hanging(heard)


def test_the_stream_ends_with_the_music(
    jack: Server, home: dict[str, str], folder: Path, model: Path, clip: Path
) -> None:
    path = shutil.copy(clip, folder)
    with recorder(jack) as ear, streaming(folder, home, path, "--model", model, "--tempo", "120") as stream:
        stream.hear("ready")
        ear.listen(MUSIC)
        assert stream.end() == ""
        heard = ear.stop()
    last = [message for message in stream.said if message["event"] == "state"][-1]
    assert stream.process.returncode == 0
    assert (last["rolling"], last["tick"]) == (False, pytest.approx(64, abs=1))
    assert not hanging(heard)
