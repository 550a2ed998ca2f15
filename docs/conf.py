"""How `make docs` builds the documentation: its pages are the Markdown files of the repository, as they lie there."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata
from typing import Any

import click
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from cmt_bridge.cli import cli

project = "cmt-bridge"
author = "The cmt-bridge authors"
project_copyright = "2026, the cmt-bridge authors"
release = metadata.version("cmt-bridge")

root_doc = "docs/index"
include_patterns = ["*.md", "docs/**", "models/README.md", "host_scripts/**/*.md"]
exclude_patterns = ["build", ".venv", "docs/conf.py"]
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinxcontrib.mermaid"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 4
myst_fence_as_directive = ["mermaid"]
autodoc_member_order = "bysource"

html_theme = "furo"
html_title = "cmt-bridge"
html_theme_options = {"source_repository": "https://github.com/cmt-bridge/cmt-bridge/", "source_branch": "main"}
html_show_sphinx = False
linkcheck_anchors = False


class CommandLine(SphinxDirective):
    """Show each command under a heading, as its `--help` tells it at 80 columns."""

    def run(self) -> list[nodes.Node]:
        """Return a section for each command."""
        found: list[nodes.Node] = []
        for name, text in _commands(cli, click.Context(cli, info_name="cmt-bridge", max_content_width=80)):
            section = nodes.section(ids=[nodes.make_id(name)])
            section += nodes.title(text=name)
            section += nodes.literal_block(text, text, language="text")
            found.append(section)
        return found


def _commands(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    yield context.command_path, command.get_help(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None and not child.hidden:
                inner = click.Context(child, info_name=name, parent=context, max_content_width=80)
                yield from _commands(child, inner)


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive."""
    app.add_directive("command-line", CommandLine)
    return {"parallel_read_safe": True}
