import multiprocessing
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cmt_bridge.core import files
from cmt_bridge.core.files import (
    complete_folder,
    complete_path,
    fresh_path,
    is_plain_name,
    is_temporary,
    new_file,
    new_folder,
    numbered,
    open_regular,
    read_regular,
    short,
    sweep,
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
    assert (second.stem[-4:], third.stem[-4:]) == (" (2)", " (3)")


@pytest.mark.parametrize("name", LONG)
def test_a_short_name_is_stable_and_distinct(name: str) -> None:
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


def test_a_link_to_nowhere_is_something_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "clip.mid").symlink_to(tmp_path / "none")
    assert fresh_path(tmp_path / "clip.mid").name == "clip (2).mid"


def _file_at_once(path: Path, number: int) -> Path:
    return new_file(numbered(path), lambda temporary: temporary.write_text(str(number)))


def _folder_at_once(path: Path, number: int) -> Path:
    return new_folder(numbered(path), lambda temporary: (temporary / "a").write_text(str(number)))


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("make", [_file_at_once, _folder_at_once])
def test_whoever_writes_at_once_gets_a_name_of_his_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: object, links: bool
) -> None:
    if not links:  # of a file system that knows no hard links, where only those of one process can be told apart

        def refused(*_: object, **__: object) -> None:
            raise OSError(95, "not supported")

        monkeypatch.setattr(os, "link", refused)
    many = 16 if links else 1
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda number: make(tmp_path / "a", number), range(many)))  # type: ignore[operator]
    assert len(set(made)) == many
    for number, path in enumerate(made):
        assert (path / "a" if path.is_dir() else path).read_text() == str(number)
    assert {path.name for path in tmp_path.iterdir()} == {"a", *(f"a ({n})" for n in range(2, many + 1))}


def _put_many(path: Path) -> list[str]:
    return [str(_file_at_once(path, number)) for number in range(8)]


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        made = [path for some in pool.map(_put_many, [tmp_path / "b.mid"] * 2) for path in some]
    assert len(set(made)) == 16
    assert sorted(made) == sorted(map(str, tmp_path.iterdir()))


def _aged(path: Path) -> Path:
    long_ago = time.time() - 2 * files.OLD
    os.utime(path, (long_ago, long_ago))
    return path


WRITER = """
import sys, time
from pathlib import Path
from cmt_bridge.core.files import complete_folder, complete_path
with complete_path(Path("a.mid")) as file, complete_folder(Path("b.cmt")) as folder:
    file.write_text("half")
    print(file, folder, sep="\\n", flush=True)
    time.sleep(600)
"""


@pytest.mark.skipif(os.name != "posix", reason="what is open cannot be held by a lock here")
def test_only_leftovers_of_dead_processes_are_swept(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        left = [tmp_path / writer.stdout.readline().strip() for _ in range(2)]
        for path in left:
            _aged(path)
        sweep(tmp_path)
        assert sorted(tmp_path.iterdir()) == sorted(left)  # as old as they are, somebody is at them
        writer.kill()
    files._swept.clear()
    with complete_path(tmp_path / "c.mid") as temporary:  # whoever writes there next
        assert sorted(tmp_path.iterdir()) == [temporary]
        temporary.write_text("all")
    assert [path.name for path in tmp_path.iterdir()] == ["c.mid"]


def test_what_was_left_a_moment_ago_stays(tmp_path: Path) -> None:
    fresh, mine = tmp_path / ".a.0123abcd.part.mid", _aged_file(tmp_path / ".a.part.mid")
    fresh.touch()
    link = tmp_path / ".b.0123abcd.part"
    link.symlink_to(tmp_path)
    sweep(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([fresh, mine, link])


def _aged_file(path: Path) -> Path:
    path.touch()
    return _aged(path)


def test_a_long_name_can_be_written(tmp_path: Path) -> None:
    name = "ü" * 120 + ".mid"  # 244 bytes
    with complete_path(tmp_path / name) as temporary:
        temporary.write_bytes(b"x")
    with complete_folder(tmp_path / ("ü" * 120 + ".cmt")) as folder:
        (folder / "a").write_bytes(b"x")
    assert (tmp_path / name).read_bytes() == b"x"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "a\\b", "..\\a", "a\0b"])
def test_a_name_that_leads_elsewhere_is_no_plain_one(name: str) -> None:
    assert not is_plain_name(name)
    assert is_plain_name("Film – 1 (x).mp4")
