"""Streams that are closed, full or that nobody reads do no harm, and no file gets what is printed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import PATIENCE, PROGRAM

REFUSED = ["takes", "nothing.mp4"]
LISTED = ["models", "list", "--json"]


def _shell(environment: dict[str, str], folder: Path, ending: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["sh", "-c", f'"$@" {ending}', "sh", *PROGRAM, *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE
    )


@pytest.mark.parametrize(
    ("ending", "arguments", "code"),
    [
        (">&-", LISTED, 0),
        ("2>&-", LISTED, 0),
        ("<&- >&- 2>&-", LISTED, 0),
        (">&-", REFUSED, 3),
        ("2>&-", REFUSED, 3),
        (">&- 2>&-", REFUSED, 3),
        ("2>/dev/full", REFUSED, 3),
        (">/dev/full", LISTED, 5),
        (">/dev/full 2>&1", LISTED, 5),
        ("<&- >&- 2>&-", ["nonsense"], 2),
    ],
)
def test_a_stream_that_takes_nothing_changes_no_exit_code(
    environment: dict[str, str], folder: Path, ending: str, arguments: list[str], code: int
) -> None:
    if "full" in ending and not Path("/dev/full").exists():
        pytest.skip("this system has no full device")
    done = _shell(environment, folder, ending, *arguments)
    assert done.returncode == code
    assert "Traceback" not in done.stdout + done.stderr
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("arguments", [LISTED, ["--help"], ["hosts", "list"]])
def test_who_stops_reading_ends_it_without_a_word(
    environment: dict[str, str], folder: Path, arguments: list[str]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [*PROGRAM, *arguments],
            cwd=folder,
            env=environment,
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_what_is_said_meanwhile_goes_into_no_file(environment: dict[str, str], folder: Path, clip: Path) -> None:
    done = _shell(environment, folder, "<&- >&- 2>&-", "analyze", str(clip), "-o", "out.json")
    assert done.returncode == 0
    assert (folder / "out.json").read_text().rstrip().endswith("}")
    assert [path.name for path in folder.iterdir()] == ["out.json"]
