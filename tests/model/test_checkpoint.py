import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from cmt_bridge.core.files import sha256_of
from cmt_bridge.errors import CheckpointError, UsageError
from cmt_bridge.model.checkpoint import load_network, read_original, renamed, save_network
from cmt_bridge.model.event_network import EventTransformer
from cmt_bridge.model.paper_network import PaperConfig, PaperNetwork, sinusoids
from cmt_bridge.model.registry import Model, add_model, find_model, list_models

SMALL = PaperConfig(layers=2, heads=8, width=64, feed_forward=96, embeddings=(8, 4, 8, 16, 8, 4, 8), timing_embedding=8)
EXAMPLES = (
    "encoder_emb_pitch.lut.weight",
    "transformer_encoder.layers.11.attention.query_projection.bias",
    "transformer_encoder.layers.0.norm2.weight",
    "proj_onset_density.weight",
)


COLUMNS = ("barbeat", "type", "beat_density", "pitch", "duration", "instr", "onset_density")
HEADS = ("barbeat", "beat_density", "pitch", "duration", "instr", "onset_density")
THEIRS = {
    "initial.0": "init_emb_genre.lut",
    "initial.1": "init_emb_key.lut",
    "initial.2": "init_emb_instrument.lut",
    "initial_in": "init_in_linear",
    "embed_in": "encoder_in_linear",
    "timing": "encoder_emb_time_encoding.lut",
    "timing_in": "encoder_time_linear",
    "norm": "transformer_encoder.norm",
    "join_type": "project_concat_type",
    "type_head": "proj_type",
    **{f"embed.{i}": f"encoder_emb_{name}.lut" for i, name in enumerate(COLUMNS)},
    **{f"heads.{i}": f"proj_{name}" for i, name in enumerate(HEADS)},
    **{
        f"layers.{n}.{ours}": f"transformer_encoder.layers.{n}.{theirs}"
        for n in range(SMALL.layers)
        for ours, theirs in (
            *((part, f"attention.{part}_projection") for part in ("query", "key", "value", "out")),
            ("expand", "linear1"),
            ("contract", "linear2"),
            ("norm1", "norm1"),
            ("norm2", "norm2"),
        )
    },
}


def original_of(network: PaperNetwork, prefix: str) -> dict[str, torch.Tensor]:
    """Give a network's weights under the names of the original."""
    weights = dict(network.state_dict())
    table = sinusoids(torch.arange(300), weights.pop("frequencies"))
    named = {f"{THEIRS[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}": tensor for key, tensor in weights.items()}
    return {f"{prefix}{key}": tensor for key, tensor in {**named, "encoder_pos_emb.pe": table[None]}.items()}


@pytest.mark.parametrize("key", EXAMPLES)
def test_keys_have_a_name_with_and_without_module(key: str) -> None:
    assert renamed(key) == renamed(f"module.{key}") is not None


@pytest.mark.parametrize("prefix", ["module.", ""])
def test_a_checkpoint_of_the_original_returns(tmp_path: Path, prefix: str) -> None:
    torch.manual_seed(0)
    network = PaperNetwork(SMALL)
    path = tmp_path / "loss_8_params.pt"
    torch.save(original_of(network, prefix), path)
    read = read_original(path)
    assert read.config == SMALL
    for key, tensor in network.state_dict().items():
        assert torch.equal(read.state_dict()[key], tensor), key


def test_weights_return_from_safetensors(tmp_path: Path, network: PaperNetwork) -> None:
    save_network(network, tmp_path / "a.safetensors", record={"steps": 1})
    read = load_network(tmp_path / "a.safetensors")
    assert read.config == network.config
    assert all(torch.equal(read.state_dict()[k], v) for k, v in network.state_dict().items())


@pytest.mark.parametrize("content", [b"", b"text", b"\x80\x04" + b"x" * 50, b"PK\x03\x04" + b"0" * 200])
def test_files_that_are_no_checkpoint_are_refused(tmp_path: Path, content: bytes) -> None:
    for name, read in (("a.pt", read_original), ("a.safetensors", load_network)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CheckpointError):
            read(tmp_path / name)


def test_other_networks_and_code_are_refused(tmp_path: Path) -> None:
    whole = original_of(PaperNetwork(SMALL), "module.")
    lacking = {k: v for k, v in whole.items() if "layers.1.linear1" not in k}
    misshapen = {**whole, "module.proj_type.weight": torch.zeros(4, 64)}
    for number, content in enumerate(({"weight": torch.zeros(2)}, [1, 2], lacking, misshapen, {}, {"a": 1})):
        torch.save(content, tmp_path / f"{number}.pt")
        with pytest.raises(CheckpointError):
            read_original(tmp_path / f"{number}.pt")
    torch.save(Path, tmp_path / "code.pt")
    with pytest.raises(CheckpointError):
        read_original(tmp_path / "code.pt")
    for missing in (read_original, load_network):
        with pytest.raises(CheckpointError):
            missing(tmp_path / "none.pt")


def test_models_are_found_by_name_and_checked(
    tmp_path: Path, network: PaperNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CMT_BRIDGE_MODELS", str(tmp_path))
    (tmp_path / "manifest.toml").write_text("# mine\n")
    path = tmp_path / "a.safetensors"
    save_network(network, path, record={})
    model = Model("a", path, sha256_of(path), "MIT", "here", {"steps": 3, "words": ["x"]})
    add_model(tmp_path, model)
    add_model(tmp_path, model)
    assert (tmp_path / "manifest.toml").read_text().startswith("# mine\n")
    assert find_model("a") == model
    assert [one.name for one in list_models()].count("a") == 1
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(CheckpointError, match="not the file"):
        find_model("a")
    path.unlink()
    with pytest.raises(CheckpointError, match="missing"):
        find_model("a")
    with pytest.raises(UsageError, match="no model"):
        find_model("b")
    (tmp_path / "manifest.toml").write_text("[[model]\n")
    with pytest.raises(CheckpointError, match="damaged"):
        find_model("a")


def test_a_composer_comes_back_as_it_was(composer: EventTransformer, tmp_path: Path) -> None:
    save_network(composer, tmp_path / "ours.safetensors", record={"step": 1})
    again = load_network(tmp_path / "ours.safetensors")
    assert isinstance(again, EventTransformer)
    assert again.config == composer.config
    for name, value in composer.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)
    save_network(composer, tmp_path / "half.safetensors", record={}, half=True)
    half = load_network(tmp_path / "half.safetensors")
    assert all(value.dtype == torch.float32 for value in half.state_dict().values())


def test_a_composer_that_lacks_a_tensor_is_refused(composer: EventTransformer, tmp_path: Path) -> None:
    save_network(composer, tmp_path / "ours.safetensors", record={})
    with safe_open(tmp_path / "ours.safetensors", "pt") as file:
        metadata = file.metadata()
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    tensors.pop("norm.gain")
    save_file(tensors, tmp_path / "less.safetensors", metadata)
    with pytest.raises(CheckpointError, match="does not fit"):
        load_network(tmp_path / "less.safetensors")


@pytest.mark.parametrize("kind", ["paper", "composer"])
@pytest.mark.parametrize(
    "shape",
    [
        {"width": 65_536, "layers": 256, "feed_forward": 65_536},  # of 300 bytes that ask for terabytes
        {"layers": 10**9},
        {"width": 10**12},
        {"layers": True},
        {"width": 256.5},
        {"heads": 0},
        {"layers": -1},
        {"dropout": "x"},
        {"styles": 5},
        {"embeddings": []},
        {"initial_classes": [1]},
        {"window": 0},
        [],
        {},
    ],
)
def test_a_wrong_tensor_shape_is_refused_before_allocation(tmp_path: Path, kind: str, shape: object) -> None:
    head = json.dumps({"__metadata__": {"network": kind, "config": json.dumps(shape)}}).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(head).to_bytes(8, "little") + head)
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        load_network(path)


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path, composer: EventTransformer) -> None:
    import copy

    broken = copy.deepcopy(composer)
    with torch.no_grad():
        next(broken.parameters())[0] = float("nan")
    save_network(broken, tmp_path / "model.safetensors", record={})
    with pytest.raises(CheckpointError, match="no numbers"):
        load_network(tmp_path / "model.safetensors")
