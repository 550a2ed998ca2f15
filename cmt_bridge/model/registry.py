"""The models at hand: those shipped, and those a person imported; each folder has one `manifest.toml`."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs
import tomlkit
from tomlkit.exceptions import TOMLKitError

from cmt_bridge.core.bounds import fault_of
from cmt_bridge.core.files import complete_path, is_plain_name, sha256_of
from cmt_bridge.errors import CheckpointError, UsageError

__all__ = ["DEFAULT", "Model", "add_model", "find_model", "list_models", "shipped_folder", "user_folder"]

DEFAULT = "cmt-composer"
MANIFEST = "manifest.toml"
FOLDER_VARIABLE = "CMT_BRIDGE_MODELS"


@dataclass(frozen=True, slots=True)
class Model:
    """An entry of a manifest: `path` of the weights, their SHA-256, and what is known of their making."""

    name: str
    path: Path
    sha256: str
    licence: str
    source: str
    record: Mapping[str, Any]


def shipped_folder() -> Path:
    """Return the folder of the weights that come with cmt-bridge: in the package, or in a checkout beside it."""
    package = Path(__file__).parents[1]
    inside = package / "shipped"
    return inside if inside.is_dir() else package.parent / "models"


def user_folder() -> Path:
    """Return the folder of imported models: `CMT_BRIDGE_MODELS`, or the user's data folder."""
    given = os.environ.get(FOLDER_VARIABLE)
    return Path(given) if given else Path(platformdirs.user_data_dir("cmt-bridge", appauthor=False)) / "models"


def list_models() -> list[Model]:
    """Return all models, imported ones first: an imported model stands before a shipped one of its name."""
    return [model for folder in (user_folder(), shipped_folder()) for model in _read(folder)]


def _read(folder: Path) -> list[Model]:
    path = folder / MANIFEST
    if not path.is_file():
        return []
    try:
        with path.open("rb") as file:
            entries = tomllib.load(file).get("model", [])
        found = [
            Model(
                name=str(entry["name"]),
                path=folder / str(entry["file"]),
                sha256=str(entry["sha256"]),
                licence=str(entry.get("licence", "unknown")),
                source=str(entry.get("source", "unknown")),
                record=dict(entry.get("record", {})),
            )
            for entry in entries
        ]
        if not all(is_plain_name(model.path.name) and model.path.parent == folder for model in found):
            raise ValueError("a model is not named as a file beside it is")
        return found
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} is damaged: {fault_of(error)}.", hint="Repair it, or move it away.") from error


def find_model(name: str | Path) -> Model:
    """Return the model of a name, or of a path to a safetensors file; its bytes are checked against the manifest.

    Raises `UsageError` for an unknown name, `CheckpointError` where the file is missing or is not the one recorded.
    """
    name = str(name)
    models = list_models()
    for model in models:
        if model.name == name:
            if not model.path.is_file():
                raise CheckpointError(f"The weights {model.path} are missing.", hint="Import them again.")
            if sha256_of(model.path) != model.sha256:
                raise CheckpointError(
                    f"{model.path} is not the file its manifest records.", hint="Import or install it again."
                )
            return model
    path = Path(name)
    if path.is_file():
        return Model(path.stem, path, sha256_of(path), "unknown", str(path), {})
    known = ", ".join(dict.fromkeys(model.name for model in models)) or "none"
    raise UsageError(f"There is no model {name}.", hint=f"Known models: {known}. See `cmt-bridge models list`.")


def add_model(folder: Path, model: Model) -> None:
    """Add an entry to a folder's manifest, in place of one of the same name; everything else stays as it was."""
    path = folder / MANIFEST
    try:
        document = tomlkit.parse(path.read_text(encoding="utf-8")) if path.is_file() else tomlkit.document()
    except TOMLKitError as error:
        raise CheckpointError(f"{path} is damaged: {error}.", hint="Repair it, or move it away.") from error
    entries = document.get("model")
    if entries is None:
        entries = document["model"] = tomlkit.aot()
    for index in reversed([i for i, entry in enumerate(entries) if entry.get("name") == model.name]):
        del entries[index]
    entry = tomlkit.table()
    entry.update({"name": model.name, "file": model.path.name, "sha256": model.sha256})
    entry.update({"licence": model.licence, "source": model.source})
    if model.record:
        entry["record"] = dict(model.record)
    entries.append(entry)
    with complete_path(path) as temporary:
        temporary.write_text(tomlkit.dumps(document), encoding="utf-8")
