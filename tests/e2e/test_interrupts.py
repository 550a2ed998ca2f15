"""Ctrl-C at any time: exit code 130, soon, and nothing is left."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.conftest import PROGRAM, write_metadata

pytestmark = pytest.mark.slow

PATIENCE = 120.0
AT_ONCE = 5.0  # s, on a busy machine; 2 on a quiet one


Started = tuple[subprocess.Popen[bytes], int]


@contextmanager
def on_terminal(folder: Path, environment: dict[str, str], *arguments: object) -> Iterator[Started]:
    """Start the program with a terminal for its stderr; give it and the terminal's other end."""
    ours, its = pty.openpty()
    process = subprocess.Popen(
        [*PROGRAM, *map(str, arguments)],
        cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=its,
    )  # fmt: skip
    os.close(its)
    try:
        yield process, ours
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def read_until(terminal: int, pattern: bytes) -> bytes:
    """Read what the program says until `pattern` is in it, or its end."""
    said = b""
    deadline = time.monotonic() + PATIENCE
    while not re.search(pattern, said) and time.monotonic() < deadline:
        try:
            piece = os.read(terminal, 4096)
        except OSError:  # its end is closed
            break
        if not piece:
            break
        said += piece
    return said


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("part", ["Measuring", "Composing"])
def test_an_interrupt_leaves_nothing(
    folder: Path, tmp_path: Path, environment: dict[str, str], model: Path, long_clip: Path, part: str, name: str
) -> None:
    video = long_clip if part == "Measuring" else write_metadata(tmp_path / "metadata.json", 1800.0)
    own = environment | {"CMT_BRIDGE_CACHE": str(tmp_path / "cache")}
    with on_terminal(folder, own, "score", video, "--model", model, "-o", "new/music") as (process, terminal):
        said = read_until(terminal, part.encode() + rb"[^\r\n]*[1-9]%")
        assert re.search(part.encode() + rb"[^\r\n]*[1-9]%", said), said
        start = time.monotonic()
        process.send_signal(getattr(signal, name))
        said = read_until(terminal, rb"^\b$")
        assert process.wait(PATIENCE) == 130, said
        assert time.monotonic() - start < AT_ONCE
    assert b"cmt-bridge: interrupted" in said
    assert b"Traceback" not in said
    assert b"Exception ignored" not in said
    assert list(folder.iterdir()) == []
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_a_closed_pipe_says_nothing(folder: Path, environment: dict[str, str], metadata: Path, model: Path) -> None:
    process = subprocess.Popen(
        [*PROGRAM, "score", str(metadata), "--model", str(model), "--json"],
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait(PATIENCE) == 141
    assert b"Traceback" not in said
    assert b"Exception ignored" not in said
