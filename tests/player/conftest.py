from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.jack import Server, server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let nothing run beside tests at a server that waits for nobody: what it misses is lost."""
    for item in items:
        if "jack" in getattr(item, "fixturenames", ()) and item.path.is_relative_to(Path(__file__).parent):
            item.add_marker("realtime")


@pytest.fixture
def jack(tmp_path: Path) -> Iterator[Server]:
    """A JACK server of the test's own."""
    with server(tmp_path) as found:
        yield found
