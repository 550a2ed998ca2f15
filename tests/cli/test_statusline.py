"""The line that says how it goes, on real terminals of any width."""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Callable
from contextlib import suppress

import pytest

from cmt_bridge.cli.statusline import fitted
from cmt_bridge.cli.stream import _Line

if sys.platform == "win32":
    pytest.skip("there are no pseudo-terminals", allow_module_level=True)

import fcntl
import pty
import termios

STATE = {"event": "state", "rolling": True, "tick": 4711.0, "tempo": 120.0, "in_hand": 12, "underruns": 3, "late": 2}
CONTROLS = {"event": "controls", "muted": ["drums", "strings"], "density": -2, "loop": "5-8"}


def sized(terminal: int, columns: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[int], None]], bytes]:
    """Run something while stderr is a terminal, which it is given; return what that was sent."""

    def run(body: Callable[[int], None]) -> bytes:
        here, there = pty.openpty()
        with os.fdopen(there, "w", encoding="utf-8") as stderr, monkeypatch.context() as patch:
            patch.setattr(sys, "stderr", stderr)
            sized(there, 80)
            body(there)
        sent = b""
        with suppress(OSError):  # how a terminal ends whose other side was closed
            while some := os.read(here, 1 << 16):
                sent += some
        os.close(here)
        return sent

    return run


def rows(sent: bytes, widths: list[int]) -> list[str]:
    """Return what each writing of the line left on it; the terminal's rows must never run over."""
    written = sent.decode().split("\r\x1b[K")[1:]
    for line, width in zip(written, widths, strict=False):
        assert "\n" not in line
        assert len(line) < width, (line, width)
    return written


@pytest.mark.parametrize("columns", [20, 24, 40, 79, 80, 100, 200])
def test_the_line_of_a_stream_stays_on_one_row(terminal: Callable[..., bytes], columns: int) -> None:
    def play(size: int) -> None:
        sized(size, columns)
        line = _Line()
        for message in (STATE, CONTROLS, STATE):
            line(message)
        line.end()

    written = rows(terminal(play), [columns] * 3)
    assert len(written) == 4
    assert all("295|2" in line for line in written[:3])
    assert written[3] == ""
    if columns == 200:
        assert "loop 5-8" in written[2]


def test_the_line_follows_a_terminal_that_is_resized(terminal: Callable[..., bytes]) -> None:
    widths = [80, 20, 33, 120]

    def play(size: int) -> None:
        line = _Line()
        for width in widths:
            sized(size, width)
            line(STATE)

    wide, narrow, still_narrow, wide_again = [len(line) for line in rows(terminal(play), widths)]
    assert narrow <= still_narrow < wide == wide_again


@pytest.mark.parametrize("columns", [20, 30, 80])
def test_progress_stays_on_one_row(
    terminal: Callable[..., bytes], columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cmt_bridge.cli import common

    monkeypatch.setattr(common, "SHOW_EVERY", 0.0)

    def work(size: int) -> None:
        sized(size, columns)
        with common.progress("Measuring") as done:
            for share in (0.1, 0.5, 1.0):
                done(share)

    written = rows(terminal(work), [columns] * 9)
    assert [line.split()[:2] for line in written] == [
        ["Measuring", "0%"], ["Measuring", "10%"], ["Measuring", "50%"], ["Measuring", "100%"], [],
    ]  # fmt: skip


def test_what_is_piped_says_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from cmt_bridge.cli import common

    with common.progress("Measuring") as done:
        done(0.5)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(common, "SAY_EVERY", 0.0)
    with common.progress("Measuring") as done:
        done(0.25)
        done(0.5)
    assert [line.split(",")[0] for line in capsys.readouterr().err.splitlines()] == ["Measuring", "Measuring"]


def test_what_does_not_fit_is_left_out_as_a_whole() -> None:
    assert fitted(["Composing", "45 %", "0:12 left"], 20) == "Composing  45 %"
    assert fitted(["much too long for it"], 8) == "much too"
    assert fitted([], 8) == ""
