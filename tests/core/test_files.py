import os
from pathlib import Path

import pytest

from cmt_bridge.core.files import (
    complete_folder,
    complete_path,
    fresh_path,
    is_temporary,
    open_regular,
    read_regular,
    short,
    with_addition,
)
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
    (tmp_path / "clip take 2.mid").touch()
    assert fresh_path(path).name == "clip take 3.mid"


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


LONG = [letter * (251 // len(letter.encode())) for letter in "nä日🎬"]


@pytest.mark.parametrize("name", LONG)
@pytest.mark.parametrize("suffix", [".mp4", "", ". odd suffix"])
def test_a_name_of_any_length_can_be_written(tmp_path: Path, name: str, suffix: str) -> None:
    whole = (name + "x" * 255).encode()[: 255 - len(suffix)].decode(errors="ignore") + suffix
    with complete_path(tmp_path / whole) as temporary:
        temporary.write_text("1")
        assert is_temporary(temporary.name)
    assert [path.name for path in tmp_path.iterdir()] == [whole]
    with complete_folder(tmp_path / "folder" / whole) as temporary:
        (temporary / "a").write_text("1")
        assert is_temporary(temporary.name)
    second = fresh_path(tmp_path / whole)
    second.touch()
    third = fresh_path(tmp_path / whole)
    third.touch()
    assert (second.suffix, third.suffix) == (Path(whole).suffix,) * 2
    assert (second.stem[-7:], third.stem[-7:]) == (" take 2", " take 3")


@pytest.mark.parametrize("name", LONG)
def test_a_short_name_counts_bytes_is_stable_and_tells_names_apart(name: str) -> None:
    assert short("clip") == "clip"
    assert short("n" * 180) == "n" * 180
    assert len(short(name).encode()) <= 180
    assert short(name) == short(name)
    assert short(name) != short(name + "x") != short(name + "y")
    assert short(short(name)) == short(name)
    assert short(name).startswith(name[:20])
    assert len(os.fsencode(short(name + "\udcff", 50))) <= 50
    assert with_addition(Path("a.mid"), " take 2") == Path("a take 2.mid")
    assert len(os.fsencode(with_addition(Path(name + ".mid"), " take 12").name)) <= 255


def test_only_regular_files_are_read_and_only_so_far(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("file")
    assert read_regular(tmp_path / "file", 5) == b"12345"
    assert read_regular(tmp_path / "file", 3) == b"1234"
    assert read_regular(tmp_path / "link", 5, follow=True) == b"12345"
    os.mkfifo(tmp_path / "fifo")
    for name, follow in (("link", False), ("fifo", False), ("fifo", True), (".", False), ("nothing", True)):
        with pytest.raises(OSError, match=name if name != "." else None):
            open_regular(tmp_path / name, follow=follow)
