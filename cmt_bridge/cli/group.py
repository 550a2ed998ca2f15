"""Groups of commands: alone they print their help, and the help shows commands by use, in the order given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

__all__ = ["Group"]


class Group(click.Group):
    """A group of commands, under headings where `add_section` made some."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._sections: list[tuple[str, list[str]]] = []

    def add_section(self, title: str, commands: Sequence[click.Command]) -> None:
        """Add commands that belong together under a heading."""
        self._sections.append((title, [str(command.name) for command in commands]))
        for command in commands:
            self.add_command(command)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names of the commands in the order in which they were added."""
        return list(self.commands)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Print the help where nothing is asked for."""
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help())
            ctx.exit()
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the commands under their headings, all in one column."""
        sections = self._sections or [("Commands", list(self.commands))]
        width = max(len(name) for name in self.commands)
        limit = formatter.width - 6 - width
        for title, names in sections:
            rows = [(name.ljust(width), self.commands[name].get_short_help_str(limit)) for name in names]
            with formatter.section(title):
                formatter.write_dl(rows)
