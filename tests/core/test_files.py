from pathlib import Path

import pytest

from cmt_bridge.core.files import complete_folder, complete_path, fresh_path, is_temporary
from cmt_bridge.errors import OutputError


def _write_half(path: Path) -> None:
    path.write_text("half")
    raise KeyError(path)


def test_a_file_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "a.txt"
    with complete_path(target) as temporary:
        temporary.write_text("all")
        assert not target.exists()
    assert target.read_text() == "all"
    assert list(target.parent.iterdir()) == [target]


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(KeyError), complete_path(target) as temporary:
        _write_half(temporary)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="Cannot write"), complete_path(tmp_path / "file" / "a.txt") as temporary:
        temporary.write_text("x")


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    with complete_folder(tmp_path / "deep" / "good") as temporary:
        (temporary / "a").write_text("1")
    with pytest.raises(KeyError), complete_folder(tmp_path / "other" / "bad") as temporary:
        _write_half(temporary / "a")
    assert [path.name for path in tmp_path.rglob("*")] == ["deep", "good", "a"]


def test_a_full_folder_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a").write_text("mine")
    with pytest.raises(OutputError), complete_folder(tmp_path / "mine") as temporary:
        (temporary / "a").write_text("new")
    assert (tmp_path / "mine" / "a").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_takes_count_up(tmp_path: Path) -> None:
    path = tmp_path / "clip.mid"
    assert fresh_path(path) == path
    path.touch()
    (tmp_path / "clip (2).mid").touch()
    assert fresh_path(path).name == "clip (3).mid"


def test_a_folder_that_was_moved_does_not_come_back(tmp_path: Path) -> None:
    for complete in (complete_path, complete_folder):
        with pytest.raises(OutputError, match="gone"), complete(tmp_path / "gone" / "a", parents=False) as temporary:
            temporary.write_bytes(b"x")
    assert list(tmp_path.iterdir()) == []


def test_what_was_being_written_is_known_by_its_name(tmp_path: Path) -> None:
    with complete_path(tmp_path / "ü a.mid") as temporary:
        assert is_temporary(temporary.name)
        temporary.write_bytes(b"x")
    with complete_folder(tmp_path / "a.cmt") as temporary:
        assert is_temporary(temporary.name)
    for name in ("a.mid", ".hidden", ".a.part", "a.0123abcd.part", ".a.0123abcd.parts", ".a.0123ABCD.part"):
        assert not is_temporary(name)
