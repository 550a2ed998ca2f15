"""`cmt-bridge watch`: score what comes into a folder, until Ctrl-C."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from pathlib import Path

import click

__all__ = ["watch"]


class _Lines(logging.Handler):
    """Print what is logged as lines of JSON."""

    def emit(self, record: logging.LogRecord) -> None:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        click.echo(json.dumps({"time": time, "level": record.levelname.lower(), "message": record.getMessage()}))


@click.command(short_help="Score what comes into a folder, until Ctrl-C.")
@click.argument("folder", type=click.Path(path_type=Path), default=".")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port of the control API; 0 for a free one.")
@click.option("--osc", type=click.IntRange(0, 65535), default=0, help="Port to listen at for OSC; 0 for none.")
@click.option("--log", type=click.Path(path_type=Path), help="File to write the log to, instead of stderr.")
@click.option("--json", "as_json", is_flag=True, help="Print what happens as lines of JSON on stdout.")
def watch(folder: Path, port: int, osc: int, log: Path | None, as_json: bool) -> None:
    """Watch FOLDER, or this one: every video in it and below is scored once, as soon as its copy has ended.

    The score lies beside the video, as `cmt-bridge score` writes it. What a clip lacks is said in a note beside it.
    cmt-bridge.toml in a folder says how its clips are scored; changes hold from the next clip on. Ctrl-C stops in
    order, a second one at once; nothing is lost either way.

    \b
    Examples:
      cmt-bridge watch
      cmt-bridge watch ~/Videos --osc 9124
    """
    from cmt_bridge.service.daemon import watch as serve
    from cmt_bridge.service.logs import begin

    if log is not None or not as_json:
        begin(log)
    if as_json:
        logger = logging.getLogger("cmt_bridge")
        logger.addHandler(_Lines())
        logger.setLevel(logging.INFO)
    serve(folder.absolute(), port=port, osc=osc)
