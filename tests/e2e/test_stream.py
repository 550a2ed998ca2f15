"""`cmt-bridge stream` as a person runs it, on a JACK server, with an ear of its own."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
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


@contextmanager
def streaming(folder: Path, home: dict[str, str], *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Run `cmt-bridge stream … --json` while the body runs."""
    process = subprocess.Popen(
        [*PROGRAM, "stream", *map(str, arguments), "--json"],
        cwd=folder,
        env=home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=PATIENCE)


def hear(process: subprocess.Popen[str], event: str, **values: Any) -> dict[str, Any]:
    """Read until something is said."""
    assert process.stdout is not None
    for line in process.stdout:
        message: dict[str, Any] = json.loads(line)
        if message["event"] == event and values.items() <= message.items():
            return message
    raise AssertionError(f"it ended: {process.communicate()[1]}")


def sounds(ear: Recorder, process: subprocess.Popen[str]) -> None:
    """Connect the ear, and wait until much is sounding."""
    hear(process, "ready")
    ear.listen(MUSIC)
    hear(process, "state", rolling=True, bar=1)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_whoever_has_enough_ends_it_and_every_note(
    jack: Server, home: dict[str, str], folder: Path, model: Path, name: str
) -> None:
    clip = write_metadata(folder / "clip.json", 40.0)
    with recorder(jack) as ear, streaming(folder, home, clip, "--model", model) as process:
        sounds(ear, process)
        process.send_signal(getattr(signal, name))
        _, said = process.communicate(timeout=PATIENCE)
        heard = ear.stop()
    assert process.returncode == 130
    assert said == "stopped; every note was ended\n"
    assert any(each.is_on for each in heard)
    assert not hanging(heard)


def test_when_it_is_killed_its_processes_end_every_note_and_themselves(
    jack: Server, home: dict[str, str], folder: Path, model: Path
) -> None:
    clip = write_metadata(folder / "clip.json", 40.0)
    with recorder(jack) as ear, streaming(folder, home, clip, "--model", model) as process:
        sounds(ear, process)
        process.kill()
        process.communicate(timeout=PATIENCE)
        until = time.monotonic() + PATIENCE
        while MUSIC in jack.ports() and time.monotonic() < until:
            time.sleep(0.1)
        heard = ear.stop()
    assert MUSIC not in jack.ports()
    assert any(each.is_on for each in heard)
    assert not hanging(heard)


def test_a_terminal_shows_how_it_goes_and_its_keys_control_it(
    jack: Server, home: dict[str, str], folder: Path, model: Path
) -> None:
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
        with recorder(jack) as ear, streaming(folder, home, "clip.json", "--solo", "drums") as process:
            hear(process, "ready")
            ear.listen("warm:music")
            hear(process, "state", rolling=True, bar=1)
            refused = run("stream", "clip.json", env=home)
            check_refusal(refused, 2)
            assert "is being played" in refused.stderr
            assert "1 videos" not in run("daemon", "status", folder, env=home).stdout
            assert run("stream", "clip.json", "--stop", env=home).returncode == 0
            process.communicate(timeout=PATIENCE)
            assert process.returncode == 0
            with streaming(folder, home, "clip.json", "--loop", "1-2") as again:
                hear(again, "ready")
                ear.listen("warm:music")
                hear(again, "state", rolling=True, bar=1)
                assert run("daemon", "stop", folder, env=home).returncode == 0
                again.communicate(timeout=PATIENCE)
            heard = ear.stop()
        assert {each.key[0] for each in heard if each.is_on} > {9}
        assert not hanging(heard)
    finally:
        run("daemon", "stop", "--all", env=home)
