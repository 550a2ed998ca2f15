"""`cmt-bridge models`: which weights there are, and how others come in."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from cmt_bridge.cli.common import json_option, print_json, shown, talk
from cmt_bridge.cli.group import Group

__all__ = ["models"]


@click.group(cls=Group)
def models() -> None:
    """List, show and import the models that compose."""


@models.command("list", short_help="List the models at hand.")
@json_option
def list_(as_json: bool) -> None:
    """List the models at hand; the first of a name is the one used."""
    from cmt_bridge.model.registry import DEFAULT, list_models

    found = list_models()
    if as_json:
        print_json(
            [
                {
                    "name": model.name,
                    "path": str(model.path),
                    "sha256": model.sha256,
                    "licence": model.licence,
                    "source": model.source,
                    "default": model.name == DEFAULT,
                    "record": dict(model.record),
                }
                for model in found
            ]
        )
        return
    for model in found:
        size = f"{model.path.stat().st_size / 1e6:.0f} MB" if model.path.is_file() else "missing"
        click.echo(
            f"{model.name}{' (default)' if model.name == DEFAULT else ''}\t{size}\t{model.licence}\t{model.source}"
        )


@models.command(short_help="Show what a model knows, and where it comes from.")
@click.argument("name", default="")
@json_option
def show(name: str, as_json: bool) -> None:
    """Show NAME, a model's name or the path of its weights: size, licence, styles, keys, instruments, training.

    Without NAME it is the model that is used where nobody names one.

    \b
    Examples:
      cmt-bridge models show
      cmt-bridge models show cmt-small
    """
    from cmt_bridge.core.instruments import Instrument
    from cmt_bridge.core.key import KEYS
    from cmt_bridge.model.knowledge import knowledge_of
    from cmt_bridge.model.registry import DEFAULT, find_model

    model = find_model(name or DEFAULT)
    known = knowledge_of(model.path)
    found: dict[str, Any] = {
        "name": model.name,
        "default": model.name == DEFAULT,
        "path": str(model.path),
        "bytes": model.path.stat().st_size,
        "sha256": model.sha256,
        "licence": model.licence,
        "source": model.source,
        "network": known.network,
        "parameters": known.parameters,
        "instruments": [each.name.lower() for each in Instrument],
        "styles": list(known.styles),
        "keys": list(KEYS) if known.keys else [],
        "record": dict(model.record),
    }
    if as_json:
        print_json(found)
        return
    rows = {
        "model": f"{model.name}{' (the one used where none is named)' if found['default'] else ''}",
        "file": shown(model.path),
        "size": f"{found['bytes'] / 1e6:.1f} MB, {known.parameters:,} parameters, network {known.network}",
        "sha256": model.sha256,
        "licence": model.licence,
        "source": model.source,
        "parts": ", ".join(found["instruments"]),
        "styles": ", ".join(known.styles) or "none: --style is not for it",
        "keys": ", ".join(KEYS) if known.keys else "none: --key is not for it",
        "training": _training(model.record),
    }
    width = max(40, shutil.get_terminal_size().columns) - 1
    for title, text in rows.items():
        for line in textwrap.wrap(text, width, initial_indent=f"{title:10}", subsequent_indent=" " * 10) or [title]:
            click.echo(line)


def _training(record: Mapping[str, Any]) -> str:
    """Return what a manifest records of a training, in one sentence; lists are told elsewhere."""
    flat = {**record.get("options", {}), **record}
    said = [f"{name} {_figure(value)}" for name, value in flat.items() if not isinstance(value, list | dict)]
    return ", ".join(said) or "not recorded"


def _figure(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@models.command("import", short_help="Import weights: the original's, or your own.")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("--name", help="Name to use it by, instead of the file's name.")
@click.option("--licence", default="unknown", show_default=True, help="Licence of the weights, for the manifest.")
@click.option("--source", help="Where the weights come from, for the manifest.")
@click.option("--half", is_flag=True, help="Store 16-bit floats: half the size.")
@json_option
def import_(checkpoint: Path, name: str | None, licence: str, source: str | None, half: bool, as_json: bool) -> None:
    """Import CHECKPOINT: loss_8_params.pt of the original CMT, or weights that `train` wrote.

    The weights are converted to safetensors in your models folder (CMT_BRIDGE_MODELS), with an entry in its
    manifest.toml. Only tensors are read from a .pt file: no code of it runs.
    """
    from cmt_bridge.model.importing import import_weights

    made = import_weights(checkpoint, name or "", licence=licence, source=source or "", half=half)
    model = made.model
    talk(f"{made.parameters:,} parameters. Use them with `cmt-bridge score VIDEO --model {model.name}`.")
    if as_json:
        print_json({"name": model.name, "path": str(model.path), "sha256": model.sha256, "parameters": made.parameters})
    else:
        click.echo(model.path)
