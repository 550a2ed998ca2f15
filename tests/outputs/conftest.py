from __future__ import annotations

import pytest

from cmt_bridge.outputs.edited import Edited, read_edited
from tests.outputs.midifiles import Edit


@pytest.fixture(scope="module")
def edit(tmp_path_factory: pytest.TempPathFactory) -> Edit:
    """Read bytes as an edited file."""
    folder = tmp_path_factory.mktemp("edited")

    def edit_(data: bytes) -> Edited:
        path = folder / "edited.mid"
        path.write_bytes(data)
        return read_edited(path)

    return edit_
