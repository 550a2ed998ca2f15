"""A film in a folder that a daemon may watch, and scores just when it is asked."""

from __future__ import annotations

import json
from pathlib import Path

from tests import clips

__all__ = ["film_in"]


def film_in(folder: Path, model: Path, name: str) -> Path:
    """Write a film of seven seconds, to be scored at 100 BPM, into a folder of its own; give its path."""
    videos = folder / "Ü films"
    videos.mkdir()
    (videos / "cmt-bridge.toml").write_text(
        f'[score]\nmodel = {json.dumps(str(model))}\ntempo = 100\n[watch]\nignore = ["*"]\n'
    )
    return clips.write_clip(videos / name, clips.panning(7, 25, speed=60, seed=1), 25)
