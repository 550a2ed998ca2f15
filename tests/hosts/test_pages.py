"""The pages of the DAWs: their commands can be read, those that write are run, and the matrix has every host."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from cmt_bridge.cli import cli
from cmt_bridge.core.hosts import HOSTS
from tests.e2e.conftest import ROOT
from tests.e2e.test_surface import parses
from tests.scoring.test_export import clip

__all__ = ["clip"]

PAGES = sorted((ROOT / "docs" / "hosts").glob("*.md"))
MATRIX = (ROOT / "docs" / "hosts.md").read_text(encoding="utf-8")
CELLS = {"tested", "by stub", "by file", "untested", "–"}

Run = Callable[..., tuple[int, str, str]]


def commands(page: Path) -> list[str]:
    """Give the command lines of a page; ports and files have names that begin alike."""
    text = page.read_text(encoding="utf-8")
    spans = re.findall(r"`(cmt-bridge [^`\n]+)`", text) + re.findall(r"^(cmt-bridge .+)$", text, re.MULTILINE)
    return [span for span in spans if span.split()[1] in cli.commands]


def test_every_host_has_a_page_and_a_row() -> None:
    assert {page.stem for page in PAGES} == HOSTS.keys()
    rows = re.findall(r"^\| \[[^\]]+\]\(hosts/([\w-]+)\.md\) \| (.*) \|$", MATRIX, re.MULTILINE)
    assert {name for name, _ in rows} == HOSTS.keys()
    for name, cells in rows:
        said = cells.split(" | ")
        assert len(said) == 6, name
        assert all(cell in CELLS or cell.startswith(("by a new", "Link: two peers")) for cell in said), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_of_a_page_can_be_read(page: Path) -> None:
    found = commands(page)
    assert any(line.startswith(("cmt-bridge export", "cmt-bridge score")) for line in found)
    assert any(line.startswith("cmt-bridge stream") for line in found)
    for line in found:
        parses(line)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_project_that_a_page_speaks_of_is_written(
    page: Path, clip: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wanted = [line for line in commands(page) if line.startswith("cmt-bridge export") and "--into" not in line]
    for number, line in enumerate(wanted):
        words = [str(clip) if word == "clip.mp4" else word for word in shlex.split(line)[1:]]
        code, printed, said = run(*words, *([] if "-o" in words else ["-o", f"out {number}"]))
        assert code == 0, said
        assert all(Path(made).exists() for made in printed.splitlines())
        assert printed
