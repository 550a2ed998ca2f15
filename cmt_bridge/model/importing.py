"""Import weights into the folder of a person's models."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open

from cmt_bridge.core.files import sha256_of
from cmt_bridge.core.paths import takes_paths
from cmt_bridge.errors import OutputError, UsageError
from cmt_bridge.model.checkpoint import load_network, read_original, save_network
from cmt_bridge.model.registry import Model, add_model, user_folder

__all__ = ["Imported", "import_weights"]


@dataclass(frozen=True, slots=True)
class Imported:
    """A model that was imported, and how many parameters it has."""

    model: Model
    parameters: int


@takes_paths
def import_weights(
    checkpoint: Path, name: str = "", *, licence: str = "unknown", source: str = "", half: bool = False
) -> Imported:
    """Convert weights to safetensors in the folder of a person's models, with an entry in its manifest.

    Args:
        checkpoint: loss_8_params.pt of the original CMT, or weights that `train` wrote. Of a .pt file only tensors are
            read; no code of it runs.
        name: The name to use them by; the file's name where it is empty.
        licence: The licence of the weights, for the manifest.
        source: Where they come from, for the manifest; the file's name where it is empty.
        half: Whether they are stored as 16-bit floats, half the size.

    Raises:
        UsageError: A model cannot have that name.
        OutputError: There is a model of that name, or it cannot be written.
        CheckpointError: The file holds no weights that are known.
    """
    name = name or checkpoint.stem
    if not name or name != Path(name).name or name.startswith("."):
        raise UsageError(f"A model cannot be named {name!r}.", hint="Give a plain name with --name.")
    target = user_folder() / f"{name}.safetensors"
    if target.exists():
        raise OutputError(f"{target} exists already.", hint="Give another name with --name.")
    if checkpoint.suffix == ".safetensors":
        network = load_network(checkpoint)
        with safe_open(checkpoint, framework="pt") as file:
            record = json.loads(file.metadata().get("record", "{}"))
    else:
        network, record = read_original(checkpoint), {}
    save_network(network, target, record=record, half=half)
    model = Model(name, target, sha256_of(target), licence, source or checkpoint.name, record)
    add_model(user_folder(), model)
    return Imported(model, sum(parameter.numel() for parameter in network.parameters()))
