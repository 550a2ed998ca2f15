from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests import clips


@pytest.fixture(scope="session")
def drawer(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    """Give the bytes of clips, each number another content."""
    folder = tmp_path_factory.mktemp("drawer")

    def clip(number: int, seconds: float = 1.2) -> bytes:
        path = folder / f"{number} {seconds:g}.mp4"
        if not path.exists():
            clips.write_clip(path, clips.panning(seconds, 25, speed=60, seed=number))
        return path.read_bytes()

    return clip


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder to watch; what is kept about it lies beside it."""
    for name in ("cache", "models", "state"):
        monkeypatch.setenv(f"CMT_BRIDGE_{name.upper()}", str(tmp_path / name))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    path = tmp_path / "videos"
    path.mkdir()
    return path
