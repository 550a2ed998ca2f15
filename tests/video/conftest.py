from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep measurements of a test to itself."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("CMT_BRIDGE_CACHE", str(folder))
    return folder
