"""What is promised outside: light imports, names that exist, documentation that is true."""

from __future__ import annotations

import importlib
import pkgutil
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import cmt_bridge
from cmt_bridge import errors
from cmt_bridge.cli import INTERRUPTED, cli
from cmt_bridge.cli.streams import PIPE_CLOSED
from tests.e2e.conftest import ROOT, Run

README = (ROOT / "README.md").read_text(encoding="utf-8")
HEAVY = ("torch", "cv2", "av", "symusic", "matplotlib", "mido")


def commands(group: click.Group = cli, names: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        yield (*names, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*names, name))


COMMANDS = dict(commands())
MODULES = [module.name for module in pkgutil.walk_packages(cmt_bridge.__path__, "cmt_bridge.")]


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), *((*names, "--help") for names in COMMANDS)])
def test_help_loads_nothing_heavy(arguments: tuple[str, ...]) -> None:
    code = f"""
import sys
from cmt_bridge.cli import main
sys.argv = ["cmt-bridge", *{arguments!r}]
try:
    main()
finally:
    print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"
    assert "cmt-bridge" in done.stdout


def test_the_package_loads_nothing_heavy() -> None:
    code = f"import sys, cmt_bridge; print([name for name in {(*HEAVY, 'numpy', 'click')!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("name", MODULES)
def test_public_names_exist(name: str) -> None:
    module = importlib.import_module(name)
    names = getattr(module, "__all__", [])
    assert len(set(names)) == len(names)
    assert all(hasattr(module, public) for public in names)
    assert module.__doc__


def test_every_option_is_explained() -> None:
    for names, command in COMMANDS.items():
        assert command.help, names
        for parameter in command.params:
            if isinstance(parameter, click.Option) and parameter.name not in ("seed", "size", "learning_rate"):
                assert parameter.help, (names, parameter.name)


def test_every_verb_is_in_the_readme() -> None:
    for names in COMMANDS:
        assert f"cmt-bridge {' '.join(names)}" in README, names


def parses(line: str) -> None:
    """Check that a command line can be read: verbs, options and their values exist."""
    words = shlex.split(line, comments=True)
    assert words[0] == "cmt-bridge", line
    command: click.Command = cli
    names, rest = [], words[1:]
    while isinstance(command, click.Group) and rest and rest[0] in command.commands:
        names.append(rest.pop(0))
        command = command.commands[names[-1]]
    if "--help" in rest or "--version" in rest:
        return
    command.make_context(" ".join(names), rest)


def examples() -> Iterator[str]:
    for command in COMMANDS.values():
        for line in (command.help or "").splitlines():
            if line.strip().startswith("cmt-bridge "):
                yield line.strip()


def readme_lines() -> Iterator[str]:
    for block in re.findall(r"```(?:sh|console)\n(.*?)```", README, re.DOTALL):
        yield from (line.strip() for line in block.splitlines() if line.strip())


@pytest.mark.parametrize("line", [*examples(), *(line for line in readme_lines() if line.startswith("cmt-bridge "))])
def test_documented_commands_can_be_read(line: str) -> None:
    parses(line)


def test_documented_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {word for line in readme_lines() for word in re.findall(r"\bmake ([a-z]+)", line)}
    assert named
    assert named | {"demo", "test", "check", "bench"} <= targets


def test_documented_exit_codes_and_variables_are_those_of_the_code() -> None:
    rows = {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)}
    kinds = [kind for name in errors.__all__ if isinstance(kind := getattr(errors, name), type)]
    assert rows == {0, INTERRUPTED, PIPE_CLOSED, *(kind.exit_code for kind in kinds)}
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "cmt_bridge").rglob("*.py"))
    named = set(re.findall(r"CMT_BRIDGE_[A-Z]+", source))
    assert named == set(re.findall(r"CMT_BRIDGE_[A-Z]+", README))


@pytest.mark.parametrize("document", ["README.md", "ARCHITECTURE.md"])
def test_documented_files_exist(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (ROOT / target).exists(), target
    for path in re.findall(r"`((?:cmt_bridge|examples|tests|benchmarks|models)/[\w./-]+\.\w+)`", text):
        assert (ROOT / path).exists(), path


def test_the_version_is_that_of_the_package(run: Run) -> None:
    assert run("--version").stdout == f"cmt-bridge, version {cmt_bridge.__version__}\n"
    assert (Path(ROOT) / "CHANGELOG.md").read_text(encoding="utf-8").startswith("# Changelog")
