"""Every command takes `--json`, and what it prints on stdout is JSON and nothing else."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from cmt_bridge.cli import cli
from tests.e2e.conftest import write_metadata
from tests.e2e.test_surface import commands

Run = Callable[..., tuple[int, str, str]]

LEAVES = {" ".join(names): command for names, command in commands() if not isinstance(command, click.Group)}
ELSEWHERE = {  # what takes long, goes on for ever or needs a daemon: tried in the tests of its own
    "analyze", "train", "evaluate", "stream", "monitor", "watch", "models import", "data build", "data show", "convert",
    "match", "daemon start", "daemon stop", "preview",
}  # fmt: skip


def test_every_command_takes_json() -> None:
    assert cli.commands
    for name, command in LEAVES.items():
        options = [option for parameter in command.params for option in parameter.opts]
        assert "--json" in options, name


@pytest.fixture
def film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in ("STATE", "CACHE", "MODELS"):
        monkeypatch.setenv(f"CMT_BRIDGE_{variable}", str(tmp_path / variable))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home" / "config"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return write_metadata(tmp_path / "here" / "film.json", 4.0)


def test_what_is_quick_prints_json(run: Run, film: Path, tiny_model: Path) -> None:
    linux = sys.platform.startswith("linux")
    state = film.parent.parent / "STATE"
    lines: dict[str, tuple[object, ...]] = {
        "score": (film, "--model", tiny_model, "-n", 2),
        "regenerate": (film, "--bars", 1, "--model", tiny_model, "--candidates", 1),
        "takes": (film,),
        "choose": (film, 1),
        "accept": (film,),
        "reject": (film, 2),
        "undo": (film,),
        "redo": (film,),
        "diff": (film, 1, 2),
        "markers": (film,),
        "export": (film, "--project", "csv"),
        "ports": (),
        "models list": (),
        "models show": (),
        "hosts list": (),
        "hosts show": ("live",),
        "hosts install": ("reaper", "--folder", film.parent / "scripts"),
        "hosts remove": ("reaper", "--folder", film.parent / "scripts"),
        "daemon status": (),
        "daemon logs": (film.parent,),
    }
    if linux or sys.platform == "darwin":
        lines |= {"service install": (film.parent,), "service remove": (film.parent,)}
    assert lines.keys() | ELSEWHERE | {"service install", "service remove"} == LEAVES.keys()
    from cmt_bridge.service.instance import state_folder
    from cmt_bridge.service.logs import LOG_NAME

    log = state_folder(film.parent) / LOG_NAME
    assert log.is_relative_to(state)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("one\ntwo\n")
    found: dict[str, Any] = {}
    for name, arguments in lines.items():
        code, out, err = run(*name.split(), *arguments, "--json")
        assert code == 0, (name, err)
        found[name] = json.loads(out)
    assert [take["current"] for take in found["score"]["takes"]] == [True, False]
    assert found["markers"]["take"] == 1 or found["markers"]["take"] == 3
    assert found["daemon logs"] == {"log": str(log), "lines": ["one", "two"]}
    assert found["hosts install"]["files"] == found["hosts remove"]["removed"]
    assert found["models show"]["styles"] == found["models list"][-1]["record"]["styles"]
    assert len(found["models show"]["keys"]) == 24
    if linux:
        assert found["service install"]["unit"] == found["service remove"]["unit"]
        assert not Path(found["service remove"]["unit"]).exists()


@pytest.mark.usefixtures("film")
def test_a_model_is_shown(run: Run, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = run("models", "show")
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    for word in ("cmt-composer", "ballad", "F#m", "strings", "MB", "GPL-2.0", "held_out", "2e236a8ed99ec603"):
        assert word in out
    code, out, _ = run("models", "show", tiny_model)
    assert code == 0
    assert "none: --style is not for it" in out
    code, out, err = run("models", "show", "nothing")
    assert (code, out, err.count("\n")) == (2, "", 1)
