from __future__ import annotations

from pathlib import Path

import mido
import pytest

from cmt_bridge.projects.arrangement import version_of
from cmt_bridge.projects.parts import part_files
from tests.projects.films import arrangement_of, renamed


@pytest.mark.parametrize("edited", [False, True])
def test_each_part_is_a_complete_file(tmp_path: Path, edited: bool) -> None:
    arrangement = arrangement_of(tmp_path, edited=edited)
    version = arrangement.version
    files = part_files(arrangement)
    assert list(files) == [f"{part.name} {version.name}.mid" for part in version.parts]
    for part, (name, data) in zip(version.parts, files.items(), strict=True):
        path = tmp_path / name
        path.write_bytes(data)
        read = version_of(path, version.name)
        assert (read.time, read.length) == (version.time, version.length)
        assert read.parts == (part,)
        file = mido.MidiFile(path)
        assert (file.type, len(file.tracks)) == (0, 1)
        assert [m.tempo for m in file.tracks[0] if m.type == "set_tempo"] == [uspq for _, uspq in version.tempos]


def test_impossible_or_equal_names_are_made_distinct(tmp_path: Path) -> None:
    names = ["a/b: c?", "Piano", "PIANO", "日" * 200, " . "]
    arrangement = renamed(arrangement_of(tmp_path, takes=1, current=0), names)
    assert list(part_files(arrangement)) == [
        "a_b_ c_ take 1.mid",
        "Piano take 1.mid",
        "PIANO take 1 (2).mid",
        f"{'日' * 33} take 1.mid",
        "_ take 1.mid",
    ]
