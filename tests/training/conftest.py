from __future__ import annotations

from pathlib import Path

import pytest

from cmt_bridge.training.corpus import build_dataset
from cmt_bridge.training.dataset import Dataset, open_dataset
from tests.training.music import write_song


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Give a dataset of sixteen songs of 20 bars, in two styles."""
    folder = tmp_path_factory.mktemp("music")
    lines = ["path,song,style"]
    for seed in range(16):
        write_song(folder / f"song{seed}.mid", seed, bars=20)
        lines.append(f"song{seed}.mid,song{seed},{('calm', 'wild')[seed % 2]}")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    build_dataset([folder], folder / "dataset", held_out=0.3, workers=1)
    return open_dataset(Path(folder / "dataset"))
