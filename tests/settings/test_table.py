"""The table of settings: every place that takes a setting takes the same, and refuses the same in one sentence."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click
import pytest

from cmt_bridge.cli import cli
from cmt_bridge.cli.settings import chosen
from cmt_bridge.config import PROJECTS, Outputs, Watching, read_config
from cmt_bridge.core.options import AnalysisOptions, ComposeOptions
from cmt_bridge.core.tokens import CHOSEN
from cmt_bridge.errors import UsageError
from cmt_bridge.live.request import StreamRequest, asked
from cmt_bridge.scoring.export import FORMATS
from cmt_bridge.scoring.regenerate import RegenerateRequest
from cmt_bridge.service.openapi import check, document, operations
from cmt_bridge.service.requests import with_settings
from cmt_bridge.settings import SETTINGS, Setting, Verb, analysis_options, compose_options, of_section, of_verb, setting
from cmt_bridge.settings.folder import OUTPUTS, WATCH
from cmt_bridge.settings.kinds import Choice, NameList, Number, NumberRange, Switch, WholeNumber
from cmt_bridge.settings.table import COLUMNS, INSTRUMENTS, KEEPS, PRECISIONS
from cmt_bridge.settings.tables import lua_table

ROOT = Path(__file__).resolve().parents[2]
LUA = ROOT / "host_scripts" / "common" / "settings_table.lua"
VERBS: tuple[Verb, ...] = ("score", "regenerate", "stream")
ROWS = [(verb, row) for verb in VERBS for row in of_verb(verb).values()]
NAMES = [f"{verb} {row.name}" for verb, row in ROWS]
OWN = {
    "score": {"output", "projects", "project_start", "project_rate", "as_json"},
    "regenerate": {"output", "projects", "project_start", "project_rate", "as_json"},
    "stream": {"learn", "controls", "here", "stop", "dry_run", "as_json"},
}
"""Options that are no settings: where the result goes, and how it is shown."""


def options_of(verb: str) -> dict[str, click.Option]:
    return {str(each.name): each for each in cli.commands[verb].params if isinstance(each, click.Option)}


# Made from the table


def test_openapi_is_as_the_table_has_it() -> None:
    assert document() == with_settings(document())


def test_the_hosts_table_is_as_the_table_has_it() -> None:
    assert LUA.read_text(encoding="utf-8") == lua_table()


def test_the_hosts_table_is_read_by_lua() -> None:
    code = f"""
local settings = dofile({json.dumps(str(LUA))})
local density, follow = settings.regenerate.density, settings.stream.follow
print(density.type, density.low, density.high, density.default, #follow.choices, settings.score.seed.high)
"""
    done = subprocess.run(["lua5.3", "-"], input=code, capture_output=True, text=True, check=True)
    low, high = setting("regenerate", "density").kind.bounds or (0, 0)
    follow, seed = setting("stream", "follow").kind.choices, setting("score", "seed").kind.bounds
    assert seed is not None
    assert done.stdout.split() == ["whole", str(low), str(high), "0", str(len(follow)), str(seed[1])]


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_has_the_options_of_the_table(verb: Verb) -> None:
    options = options_of(verb)
    assert options.keys() - OWN[verb] == of_verb(verb).keys()
    for name, row in of_verb(verb).items():
        option = options[name]
        assert row.option in option.opts
        assert row.short in ("", *option.opts)
        assert (option.is_flag, option.multiple) == (isinstance(row.kind, Switch), isinstance(row.kind, NameList))
        assert row.help[1:] in (option.help or "")


@pytest.mark.parametrize(
    ("verb", "words", "fields"),
    [
        (
            "stream",
            "--no-chase --to a,b --to c --lead clock,MTC",
            {"chase": False, "to": ("a,b", "c"), "lead": ("clock", "mtc")},
        ),
        ("stream", "--latency= --loop= --mute=", {}),
        ("stream", "--latency 12 --follow mtc --control 1", {"latency": {"": 12.0}, "follow": "mtc"}),
        (
            "regenerate",
            "--control 0 --density 0 --tracks Drums,bass",
            {"control": 0.0, "density": 0, "tracks": ("drums", "bass")},
        ),
        (
            "regenerate",
            "--from 12.5 --base x.mid --precision int8",
            {"from": "12.5", "base": "x.mid", "precision": "int8"},
        ),
    ],
)
def test_options_become_fields_of_the_request(verb: Verb, words: str, fields: dict[str, Any]) -> None:
    context = cli.commands[verb].make_context(verb, ["clip.mp4", *words.split()])
    assert chosen(verb, context.params) == fields


def test_names_stand_once_in_each_verb() -> None:
    for verb in VERBS:
        names = [row.name for row in SETTINGS if verb in row.verbs]
        assert len(names) == len(set(names))


# Defaults and names that stand elsewhere too


def test_defaults_are_those_of_the_values() -> None:
    assert compose_options({}) == ComposeOptions()
    assert analysis_options({}) == AnalysisOptions()
    request = RegenerateRequest(Path("clip.mp4"))
    for name in ("variations", "candidates", "density"):
        assert getattr(request, name) == setting("regenerate", name).default


def test_stream_defaults_are_those_of_the_request(tmp_path: Path) -> None:
    usual = {row.name: row.default for row in of_verb("stream").values() if row.section != "score"}
    assert asked(tmp_path / "clip.mp4", usual) == StreamRequest(tmp_path / "clip.mp4")


def test_names_are_those_that_the_code_knows() -> None:
    from cmt_bridge.core import anew
    from cmt_bridge.model.paper_engine import Precision

    assert tuple(column.name.lower() for column in CHOSEN) == COLUMNS
    assert get_args(Precision) == PRECISIONS
    assert ("", *KEEPS) == anew.KEEPS
    assert tuple(FORMATS) == PROJECTS
    assert set(INSTRUMENTS) == set(setting("stream", "mute").kind.choices)


def test_defaults_of_a_folder_are_those_of_its_values() -> None:
    outputs = {name: row.default for name, row in OUTPUTS.items() if name != "places"}
    assert Outputs(projects=outputs.pop("project"), **outputs) == Outputs()
    assert Watching(**{name: row.default for name, row in WATCH.items()}) == Watching()


# What is allowed


def said_by(refuse: Callable[[], Any]) -> str:
    with pytest.raises(UsageError) as caught:
        refuse()
    return str(caught.value)


def by_command_line(verb: Verb, row: Setting, value: Any) -> None:
    words = [str(each) for each in value] if isinstance(row.kind, NumberRange) else [str(value)]
    cli.commands[verb].make_context(verb, ["clip.mp4", f"{row.option}={words[0]}", *words[1:]])


def by_toml(folder: Path, row: Setting, value: Any) -> None:
    said = f"[{row.section}]\n{row.name} = {json.dumps(value)}\n"
    (folder / "cmt-bridge.toml").write_text(said, encoding="utf-8")
    read_config(folder)


def by_request(verb: Verb, row: Setting, value: Any) -> None:
    body = {"path": "clip.mp4", row.name: value}
    check(body, operations()[verb].schema, "The request")


NUMBERS = [(verb, row) for verb, row in ROWS if isinstance(row.kind, Number | WholeNumber)]
CHOICES = [(verb, row) for verb, row in ROWS if isinstance(row.kind, Choice)]


@pytest.mark.parametrize(("verb", "row"), NUMBERS, ids=[f"{verb} {row.name}" for verb, row in NUMBERS])
def test_a_number_has_one_range_everywhere(tmp_path: Path, verb: Verb, row: Setting) -> None:
    assert row.kind.bounds is not None
    low, high = row.kind.bounds
    for value in (low, high):
        assert row.read(value) == row.read(f"{value}") == value
        by_command_line(verb, row, value)
    for value in (low - 1, high + 1, "much"):
        sentence = f"{row.name} must be {row.kind.allowed}, not {value if value != 'much' else repr(value)}. {row.help}"
        assert said_by(lambda value=value: by_command_line(verb, row, value)) == sentence
        if row.section and value != 2**63:  # of which TOML itself is refused
            said = said_by(lambda value=value: by_toml(tmp_path, row, value))
            assert said == f"{tmp_path / 'cmt-bridge.toml'}: {row.section}.{sentence}"
        if verb == "regenerate":
            assert said_by(lambda value=value: by_request(verb, row, value)) == sentence
            attributes = {"path": tmp_path, row.name: value}
            assert said_by(lambda attributes=attributes: RegenerateRequest(**attributes)) == sentence


@pytest.mark.parametrize(("verb", "row"), CHOICES, ids=[f"{verb} {row.name}" for verb, row in CHOICES])
def test_a_choice_is_one_everywhere(tmp_path: Path, verb: Verb, row: Setting) -> None:
    sentence = f"{row.name} must be {row.kind.allowed}, not 'other'. {row.help}"
    for name in row.kind.choices:
        by_command_line(verb, row, name)
        if row.section:
            by_toml(tmp_path, row, name)
    assert said_by(lambda: by_command_line(verb, row, "other")) == sentence
    if row.section:
        assert said_by(lambda: by_toml(tmp_path, row, "other")).endswith(f": {row.section}.{sentence}")
    if verb == "regenerate" or row.section != "score":
        assert said_by(lambda: by_request(verb, row, "other")) == sentence


@pytest.mark.parametrize("section", ["score", "live"])
def test_a_section_has_the_keys_of_the_table(tmp_path: Path, section: str) -> None:
    keys = of_section(section)
    (tmp_path / "cmt-bridge.toml").write_text(f"[{section}]\nother = 1\n")
    hint = said_by(lambda: read_config(tmp_path))
    assert all(key in hint for key in keys)


def test_older_keys_are_read_as_the_present_ones(tmp_path: Path) -> None:
    (tmp_path / "cmt-bridge.toml").write_text('[score]\ngenre = "rock"\nC = 0.25\n')
    assert read_config(tmp_path).score == {"style": "rock", "control": "0.25"}
    (tmp_path / "cmt-bridge.toml").write_text("[score]\nc = 0.5\n")
    assert read_config(tmp_path).score == {"control": "0.5"}
