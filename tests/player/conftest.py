from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.jack import Server, server


@pytest.fixture
def jack(tmp_path: Path) -> Iterator[Server]:
    """A JACK server of the test's own."""
    with server(tmp_path) as found:
        yield found
