"""Help: what a person sees who types a group of commands alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import click
import pytest

from cmt_bridge.cli import cli

Run = Callable[..., tuple[int, str, str]]


def groups(group: click.Group = cli, names: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield names
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from groups(command, (*names, name))


@pytest.mark.parametrize("names", list(groups()))
def test_a_group_alone_prints_its_help(run: Run, names: tuple[str, ...]) -> None:
    code, out, err = run(*names)
    assert (code, err) == (0, "")
    assert out == run(*names, "--help")[1]
    lines = out.splitlines()
    assert lines[0].startswith(" ".join(("Usage: cmt-bridge", *names)))
    assert max(map(len, lines)) <= 80
    assert not any(line.endswith("...") for line in lines[1:])  # each command is told in a line that is whole


def test_commands_are_grouped_with_daily_ones_first(run: Run) -> None:
    lines = run("--help")[1].splitlines()
    shown = [line.split()[0] for line in lines if line.startswith("  ") and line.split()[0] in cli.commands]
    assert sorted(shown) == sorted(cli.commands)
    order = ["score", "regenerate", "takes", "preview", "export", "stream", "watch", "hosts", "models", "train"]
    assert [name for name in shown if name in order] == order
    headings = [line for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert len(headings) > 5


def test_the_video_argument_has_one_name_everywhere() -> None:
    for name in ("score", "regenerate", "takes", "choose", "diff", "markers", "preview", "export", "stream", "analyze"):
        first = next(each for each in cli.commands[name].params if isinstance(each, click.Argument))
        assert (first.name, first.metavar) == ("video", None), name


def test_a_command_that_is_not_there_is_one_line(run: Run) -> None:
    code, out, err = run("daemon", "begin")
    assert (code, out, err.count("\n")) == (2, "", 1)
