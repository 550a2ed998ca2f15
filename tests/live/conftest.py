from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.jack import Server, server


@pytest.fixture
def jack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A JACK server of the test's own, at which this process and its children are clients."""
    monkeypatch.setenv("CMT_BRIDGE_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("CMT_BRIDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with server(tmp_path, patient=True) as found:
        for name in ("JACK_DEFAULT_SERVER", "JACK_NO_START_SERVER"):
            monkeypatch.setenv(name, found.environment[name])
        yield found
