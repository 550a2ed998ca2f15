"""Weights on disk: our safetensors files, and the published checkpoints of the original."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from cmt_bridge.core.bounds import LAYERS, UNITS, plain, read_json_bytes
from cmt_bridge.core.files import complete_path
from cmt_bridge.core.paths import takes_paths
from cmt_bridge.core.tokens import Column
from cmt_bridge.errors import CheckpointError
from cmt_bridge.model.event_network import EventConfig, EventTransformer
from cmt_bridge.model.paper_network import PaperConfig, PaperNetwork, frequencies, sinusoids

__all__ = ["load_network", "read_original", "renamed", "save_network"]

# Names in the original's state dict, without `module.`, to ours.
RENAMES: tuple[tuple[str, str], ...] = (
    (r"init_emb_genre\.lut\.", "initial.0."),
    (r"init_emb_key\.lut\.", "initial.1."),
    (r"init_emb_instrument\.lut\.", "initial.2."),
    (r"init_in_linear\.", "initial_in."),
    (r"encoder_emb_barbeat\.lut\.", f"embed.{Column.BEAT:d}."),
    (r"encoder_emb_type\.lut\.", f"embed.{Column.TYPE:d}."),
    (r"encoder_emb_beat_density\.lut\.", f"embed.{Column.DENSITY:d}."),
    (r"encoder_emb_pitch\.lut\.", f"embed.{Column.PITCH:d}."),
    (r"encoder_emb_duration\.lut\.", f"embed.{Column.DURATION:d}."),
    (r"encoder_emb_instr\.lut\.", f"embed.{Column.INSTRUMENT:d}."),
    (r"encoder_emb_onset_density\.lut\.", f"embed.{Column.STRENGTH:d}."),
    (r"encoder_emb_time_encoding\.lut\.", "timing."),
    (r"encoder_time_linear\.", "timing_in."),
    (r"encoder_in_linear\.", "embed_in."),
    (r"transformer_encoder\.layers\.(\d+)\.attention\.(query|key|value|out)_projection\.", r"layers.\1.\2."),
    (r"transformer_encoder\.layers\.(\d+)\.linear1\.", r"layers.\1.expand."),
    (r"transformer_encoder\.layers\.(\d+)\.linear2\.", r"layers.\1.contract."),
    (r"transformer_encoder\.layers\.(\d+)\.(norm\d)\.", r"layers.\1.\2."),
    (r"transformer_encoder\.norm\.", "norm."),
    (r"project_concat_type\.", "join_type."),
    (r"proj_type\.", "type_head."),
    (r"proj_barbeat\.", "heads.0."),
    (r"proj_beat_density\.", "heads.1."),
    (r"proj_pitch\.", "heads.2."),
    (r"proj_duration\.", "heads.3."),
    (r"proj_instr\.", "heads.4."),
    (r"proj_onset_density\.", "heads.5."),
)
COUNTS = {"embeddings": int(Column.TIMING), "initial_classes": 3}
MAY_BE_NONE = ("position_period", "memory")
PAPER, COMPOSER = "paper", "composer"
POSITIONS = "encoder_pos_emb.pe"  # a table (1, positions, W) of sinusoids, computed here
ORIGINAL_HEADS = 8  # not visible in the shapes


def renamed(key: str) -> str | None:
    """Return our name for a key of the original, None where there is none."""
    key = key.removeprefix("module.")
    for pattern, ours in RENAMES:
        new, count = re.subn(f"^{pattern}", ours, key)
        if count:
            return new
    return None


@takes_paths
def read_original(path: Path) -> PaperNetwork:
    """Read a published checkpoint (`loss_8_params.pt`), with or without `module.` before its keys.

    Only tensors are unpickled. Sizes are taken from the shapes. Raises `CheckpointError`.
    """
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise CheckpointError(f"Cannot read {path}: {error.strerror}.", hint="Check the path.") from error
    except Exception as error:  # torch raises many kinds for a file that is no checkpoint
        raise CheckpointError(
            f"{path} is not a checkpoint of the original CMT.", hint="Give loss_8_params.pt or loss_13_params.pt."
        ) from error
    if isinstance(loaded, dict) and isinstance(loaded.get("state_dict"), dict):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, dict) or not all(isinstance(v, Tensor) for v in loaded.values()):
        raise CheckpointError(f"{path} holds no plain state dict.", hint="Give loss_8_params.pt or loss_13_params.pt.")
    tensors: dict[str, Tensor] = {}
    for key, tensor in loaded.items():
        if str(key).removeprefix("module.") == POSITIONS:
            tensors["frequencies"] = _frequencies_of(tensor[0].float())
            continue
        name = renamed(str(key))
        if name is None:
            raise CheckpointError(f"{path} has the unknown key {key}.", hint="Is it a checkpoint of another model?")
        tensors[name] = tensor.float()
    return _paper_network(tensors, _config_of(tensors, path), path)


def _frequencies_of(table: Tensor) -> Tensor:
    """Return the frequencies that made a table (positions, W): libraries differ in the last bit of exp."""
    width = table.shape[1]
    numpy_exp = np.exp(np.arange(0, width, 2, dtype=np.float32) * np.float32(-math.log(10000.0) / width))
    candidates = (frequencies(width), torch.from_numpy(numpy_exp))
    position = torch.arange(len(table))
    return min(candidates, key=lambda candidate: float((sinusoids(position, candidate) - table).abs().max()))


def _config_of(tensors: dict[str, Tensor], path: Path) -> PaperConfig:
    try:
        return PaperConfig(
            layers=1 + max(int(key.split(".")[1][:9]) for key in tensors if key.startswith("layers.")),
            heads=ORIGINAL_HEADS,
            width=tensors["norm.weight"].shape[0],
            feed_forward=tensors["layers.0.expand.weight"].shape[0],
            embeddings=tuple(tensors[f"embed.{i}.weight"].shape[1] for i in range(Column.TIMING)),
            timing_embedding=tensors["timing.weight"].shape[1],
            initial_embedding=tensors["initial.0.weight"].shape[1],
            initial_classes=tuple(tensors[f"initial.{i}.weight"].shape[0] for i in range(3)),
        )
    except (KeyError, ValueError, IndexError) as error:
        raise CheckpointError(f"{path} lacks {error}.", hint="Is it a checkpoint of another model?") from error


def _check_shape(config: PaperConfig | EventConfig, shapes: Mapping[str, Sequence[int]], path: Path) -> None:
    """Raise `CheckpointError` where a file states a network that its tensors are not those of.

    What a network takes up follows from what it states of itself, and that may be anything; what a file holds is as
    large as the file. So none is made before both are known to agree, on a device that holds nothing.
    """
    fault = _fault(config)
    if not fault:
        with torch.device("meta"), torch.no_grad():
            try:
                network = EventTransformer(config) if isinstance(config, EventConfig) else PaperNetwork(config)
            except (RuntimeError, ValueError, TypeError, IndexError, ZeroDivisionError, AssertionError) as error:
                raise _unfit(path, str(error).splitlines()[0]) from error
        wanted = {key: tuple(value.shape) for key, value in network.state_dict().items()}
        optional = {"frequencies"}
        wrong = sorted((wanted.keys() ^ shapes.keys()) - optional)
        wrong += [key for key in sorted(wanted.keys() & shapes.keys()) if tuple(shapes[key]) != wanted[key]]
        fault = f"{wrong[0]} is not as it states" if wrong else ""
    if fault:
        raise _unfit(path, fault)


def _fault(config: PaperConfig | EventConfig) -> str:
    """Return what no network has, or nothing."""
    if type(config.layers) is not int or type(config.heads) is not int:
        return "a size is no whole number"
    for name in config.__dataclass_fields__:
        value = getattr(config, name)
        if name == "dropout":
            if not (isinstance(value, float | int) and 0 <= value < 1):
                return "a dropout that cannot be"
        elif name == "styles":
            if not isinstance(value, tuple) or not all(isinstance(each, str) for each in value):
                return "styles that are no names"
        else:
            sizes = value if isinstance(value, tuple) else (value,)
            if not all(type(each) is int for each in sizes) or len(sizes) != COUNTS.get(name, 1):
                return f"{name} is not of whole numbers"
            for size in sizes:
                if (fault := UNITS.fault(size)) and not (size == 0 and name in MAY_BE_NONE):
                    return f"{name} states {fault}"
    return LAYERS.fault(config.layers) or _per_head(config)


def _per_head(config: PaperConfig | EventConfig) -> str:
    if config.heads < 1 or config.width < 1:
        return "it has no heads or no width"
    if isinstance(config, EventConfig):
        return "" if config.head_size % 4 == 0 and config.window > 0 else "its heads have an odd size"
    return "" if config.width % config.heads == 0 else "its heads have no whole size"


def _unfit(path: Path, fault: str) -> CheckpointError:
    return CheckpointError(f"{path} does not fit the network: {fault}.", hint="Is it whole?")


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, Sequence[int]]:
    return {key: tuple(value.shape) for key, value in tensors.items()}


def _paper_network(tensors: dict[str, Tensor], config: PaperConfig, path: Path) -> PaperNetwork:
    _check_shape(config, _shapes(tensors), path)
    network = PaperNetwork(config)
    tensors.setdefault("frequencies", network.frequencies)
    _fill(network, tensors, path)
    return network.eval()


def _fill(network: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    broken = next((key for key, value in tensors.items() if not torch.isfinite(value).all()), "")
    if broken:
        raise CheckpointError(f"{path} holds values in {broken} that are no numbers.", hint="Train it anew.")
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        detail = str(error).splitlines()[-1].strip()
        raise CheckpointError(f"{path} does not fit the network: {detail}", hint="Is it whole?") from error


@takes_paths
def save_network(
    network: PaperNetwork | EventTransformer, path: Path, *, record: dict[str, Any], half: bool = False
) -> None:
    """Write weights and configuration to a safetensors file, complete or not at all; `half` stores float16."""
    kind = COMPOSER if isinstance(network, EventTransformer) else PAPER
    tensors = {key: (value.half() if half else value).contiguous().cpu() for key, value in network.state_dict().items()}
    metadata = {"network": kind, "config": json.dumps(network.config.to_json()), "record": json.dumps(record)}
    data = save(tensors, metadata)  # its own writing hides the reason of a failure, and lets nobody else read the file
    with complete_path(path) as temporary:
        temporary.write_bytes(data)


@takes_paths
def load_network(path: Path) -> PaperNetwork | EventTransformer:
    """Read a safetensors file that `save_network` wrote, in float32. Raises `CheckpointError`."""
    config: PaperConfig | EventConfig
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            shape = plain(read_json_bytes(metadata["config"].encode()))
            kind = metadata.get("network", PAPER)
            config = EventConfig.from_json(shape) if kind == COMPOSER else PaperConfig.from_json(shape)
            _check_shape(config, {key: file.get_slice(key).get_shape() for key in file.keys()}, path)  # noqa: SIM118
            tensors = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise CheckpointError(
            f"Cannot read the model {path}: {error}.", hint="See `cmt-bridge models list`."
        ) from error
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} is not a model of cmt-bridge: {error}.",
            hint="Convert a published checkpoint with `cmt-bridge models import FILE`.",
        ) from error
    if isinstance(config, PaperConfig):
        return _paper_network(tensors, config, path)
    composer = EventTransformer(config)
    _fill(composer, tensors, path)
    return composer.eval()
