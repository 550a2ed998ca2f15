from __future__ import annotations

import numpy as np
import pytest

from cmt_bridge.core.control import ControlBeat, ControlTrack
from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.core.tokens import CLASSES, COLUMNS, TokenRows
from cmt_bridge.model.paper_engine import PaperEngine
from cmt_bridge.model.paper_network import PaperNetwork


@pytest.fixture(scope="session")
def paper_engine(network: PaperNetwork) -> PaperEngine:
    return PaperEngine(network)


@pytest.fixture
def control() -> ControlTrack:
    beats = (ControlBeat(3, 2), ControlBeat(20, 9), ControlBeat(22, 1), ControlBeat(31, 4), ControlBeat(50, 3))
    return ControlTrack(TempoMap.constant(120), (4, 16, 0, 7, 1, 9), beats, 90)


@pytest.fixture
def words() -> TokenRows:
    """Give 150 words of random classes for two songs, shape (2, 150, 10)."""
    rng = np.random.default_rng(0)
    rows = np.stack([rng.integers(0, n, (2, 150)) for n in CLASSES], axis=-1)
    assert rows.shape == (2, 150, COLUMNS)
    return rows
