"""Importing weights from Python."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmt_bridge.errors import OutputError, UsageError
from cmt_bridge.model.checkpoint import save_network
from cmt_bridge.model.event_network import EventTransformer
from cmt_bridge.model.importing import import_weights
from cmt_bridge.model.registry import find_model


def test_imported_weights_are_found_by_name(
    composer: EventTransformer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CMT_BRIDGE_MODELS", str(tmp_path / "models"))
    save_network(composer, tmp_path / "mine.safetensors", record={"steps": 3})
    made = import_weights(tmp_path / "mine.safetensors", licence="CC0-1.0")
    found = find_model("mine")
    assert (found.path, found.sha256, found.licence) == (made.model.path, made.model.sha256, "CC0-1.0")
    assert found.source == "mine.safetensors"
    assert found.record["steps"] == 3
    assert made.parameters == sum(each.numel() for each in composer.parameters())
    with pytest.raises(OutputError, match="exists already"):
        import_weights(tmp_path / "mine.safetensors")
    with pytest.raises(UsageError, match="cannot be named"):
        import_weights(tmp_path / "mine.safetensors", "../up")
