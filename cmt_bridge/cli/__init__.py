"""The command line: one module per verb, gathered here.

A verb imports torch, OpenCV and the like inside its function, so that `--help` stays instant.
"""

from __future__ import annotations

import signal
import sys
import traceback
from typing import Any, NoReturn

import click

from cmt_bridge.cli.analyze import analyze
from cmt_bridge.cli.convert import convert
from cmt_bridge.cli.daemon import daemon
from cmt_bridge.cli.data import data
from cmt_bridge.cli.evaluate import evaluate
from cmt_bridge.cli.export import export
from cmt_bridge.cli.group import Group
from cmt_bridge.cli.hosts import hosts
from cmt_bridge.cli.markers import markers
from cmt_bridge.cli.match import match
from cmt_bridge.cli.models import models
from cmt_bridge.cli.monitor import monitor
from cmt_bridge.cli.ports import ports
from cmt_bridge.cli.preview import preview
from cmt_bridge.cli.regenerate import regenerate
from cmt_bridge.cli.score import score
from cmt_bridge.cli.service import service
from cmt_bridge.cli.stream import stream
from cmt_bridge.cli.streams import prepare
from cmt_bridge.cli.takes import accept, choose, diff, redo, reject, takes, undo
from cmt_bridge.cli.train import train
from cmt_bridge.cli.watch import watch
from cmt_bridge.errors import known_error

__all__ = ["cli", "main"]

INTERRUPTED = 130  # 128 + SIGINT, as shells count


def _show_version(context: click.Context, _: click.Parameter, is_asked: bool) -> None:
    if is_asked and not context.resilient_parsing:
        from cmt_bridge import __version__

        click.echo(f"cmt-bridge, version {__version__}")
        context.exit()


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_show_version,
    help="Show the version and exit.",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Score a video: measure it, compose multi-track MIDI that follows it, open it in a DAW.

    Exit codes: 0 done, 1 error, 2 bad option, 3 unusable input file, 4 something is not installed, 5 the result cannot
    be written, 130 interrupted, 141 nobody reads the output.
    """


for _title, _verbs in (
    ("Score a clip", (score, regenerate)),
    ("Choose among takes", (takes, choose, accept, reject, undo, redo, diff, markers)),
    ("Hear it, open it in your DAW", (preview, export, stream)),
    ("Watch folders", (watch, daemon, service)),
    ("DAWs and MIDI ports", (hosts, ports, monitor)),
    ("Measure, match, convert", (analyze, match, convert)),
    ("Models and training", (models, data, train, evaluate)),
):
    cli.add_section(_title, _verbs)


def _stop(message: str, code: int) -> NoReturn:
    sys.stdout.flush()
    line = "".join(letter if letter.isprintable() else " " for letter in message)  # a file's name may hold anything
    click.echo(f"cmt-bridge: {line}", err=True)
    sys.exit(code)


def _interrupt(*_: Any) -> NoReturn:
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line; every error leaves as one line and an exit code."""
    prepare()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        cli.main(prog_name="cmt-bridge", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as exit_:
        sys.exit(exit_.exit_code)
    except (KeyboardInterrupt, click.Abort) as stop:
        _stop(str(stop) or "interrupted; nothing half-written was left behind.", INTERRUPTED)
    except click.ClickException as error:
        _stop(error.format_message() + _try_help(error), error.exit_code)
    except Exception as error:
        _debug()
        known = known_error(error, hint="Run it with `cmt-bridge --debug` and report what it prints.")
        _stop(str(known), known.exit_code)


def _try_help(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return f" Try `{context.command_path} --help`." if context is not None else ""


def _debug() -> None:
    if "--debug" in sys.argv[1:]:
        traceback.print_exc()
