"""One line of a terminal that says how it goes, written over and over; it never takes more than one row."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

__all__ = ["StatusLine", "columns", "fitted"]

LEAST_COLUMNS = 20  # that a line is fitted to, however narrow the terminal says it is
USUAL_COLUMNS = 80  # where a terminal does not say
ERASE = "\r\x1b[K"


class StatusLine:
    """The last line of the terminal that stderr is."""

    def __init__(self) -> None:
        self._shown = False

    def show(self, parts: Sequence[str]) -> None:
        """Write as many parts as fit over what was written before."""
        click.echo(ERASE + fitted(parts, columns()), err=True, nl=False)
        self._shown = True

    def end(self) -> None:
        """Erase the line, so that something else can be written."""
        if self._shown:
            click.echo(ERASE, err=True, nl=False)
            self._shown = False


def columns() -> int:
    """Return the columns that a line may take: one less than there are, since many terminals wrap at the last."""
    try:
        found = os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError):
        found = 0
    return max(LEAST_COLUMNS, found or USUAL_COLUMNS) - 1


def fitted(parts: Sequence[str], width: int) -> str:
    """Return as many parts, from the first on, as fit into a line; of the first one what does.

    >>> fitted(["Composing", "45 %", "0:12 left"], 20)
    'Composing  45 %'
    """
    line = parts[0][:width] if parts else ""
    for part in parts[1:]:
        longer = f"{line}  {part}"
        if len(longer) > width:
            break
        line = longer
    return line
