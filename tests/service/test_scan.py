from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cmt_bridge.service.scan import Scanner, being_written

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who writes a file")
posix = pytest.mark.skipif(sys.platform == "win32", reason="names are stricter there")
CONTENT = b"content"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    folder.mkdir()
    return folder


def _put(folder: Path, *paths: str) -> None:
    for path in paths:
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(CONTENT)


def _names(scanner: Scanner) -> list[str]:
    """Give the names of all that has settled after a long time."""
    scanner.scan(0)
    return [*scanner.scan(1000).settled]


def test_a_file_settles_after_two_seconds(folder: Path) -> None:
    _put(folder, "sub/a.mp4")
    scanner = Scanner(folder)
    first, early, late, after = (scanner.scan(now) for now in (100.0, 101.9, 102.0, 103.0))
    assert (first.settled, first.waiting, first.soonest, first.paths) == ({}, 1, 102.0, frozenset({"sub/a.mp4"}))
    assert (early.settled, early.waiting) == ({}, 1)
    assert (late.fresh, late.waiting, late.soonest) == (("sub/a.mp4",), 0, None)
    assert late.settled["sub/a.mp4"].size == len(CONTENT)
    assert (after.fresh, after.settled) == ((), late.settled)


def test_a_growing_file_waits(folder: Path) -> None:
    scanner = Scanner(folder)
    for second in range(5):
        with (folder / "a.mp4").open("ab") as file:
            file.write(CONTENT)
        scan = scanner.scan(second * 1.5)
        assert (scan.settled, scan.soonest) == ({}, second * 1.5 + 2)
    assert scanner.scan(8.0).fresh == ("a.mp4",)


def test_a_time_that_jumps_back_starts_again_and_no_more(folder: Path) -> None:
    _put(folder, "a.mp4")
    os.utime(folder / "a.mp4", (4e9, 4e9))
    scanner = Scanner(folder)
    scanner.scan(0)
    os.utime(folder / "a.mp4", (1, 1))
    assert scanner.scan(2).fresh == ()
    assert scanner.scan(4).fresh == ("a.mp4",)


def test_an_empty_file_waits_longer(folder: Path) -> None:
    (folder / "a.mp4").touch()
    scanner = Scanner(folder)
    assert scanner.scan(0).soonest == 20
    assert scanner.scan(19).waiting == 1
    assert scanner.scan(20).settled["a.mp4"].size == 0


@linux
def test_a_stalled_copy_waits_for_its_writer(folder: Path) -> None:
    code = "import sys; f = open(sys.argv[1], 'wb'); f.write(b'half'); f.flush(); print(flush=True); input()"
    command = [sys.executable, "-c", code, str(folder / "a.mp4")]
    scanner = Scanner(folder)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        scanner.scan(0)
        scan = scanner.scan(100)
        assert (scan.settled, scan.waiting, scan.soonest) == ({}, 1, 102)
        assert being_written(folder / "a.mp4")
        writer.communicate("\n")
    assert scanner.scan(101).fresh == ("a.mp4",)


@linux
def test_readers_are_no_writers(folder: Path) -> None:
    _put(folder, "a.mp4")
    with (folder / "a.mp4").open("rb"):
        assert not being_written(folder / "a.mp4")
    assert not being_written(folder / "missing.mp4")
    assert not being_written(folder)


@linux
def test_asking_who_writes_disturbs_nobody(folder: Path) -> None:
    _put(folder, "a.mp4")
    code = "import sys\nfor _ in range(100_000): open(sys.argv[1], 'ab').close()"
    with subprocess.Popen([sys.executable, "-c", code, str(folder / "a.mp4")]) as writer:
        answers = set()
        while writer.poll() is None:
            answers.add(being_written(folder / "a.mp4"))
    assert writer.returncode == 0
    assert not being_written(folder / "a.mp4")
    assert False in answers


def test_a_file_that_is_moved_into_place_settles_there(folder: Path) -> None:
    _put(folder, "a.mp4.part", "b.mp4")
    scanner = Scanner(folder)
    assert _names(scanner) == ["b.mp4"]
    (folder / "a.mp4.part").rename(folder / "a.mp4")
    (folder / "b.mp4").rename(folder / "c.mp4")
    scan = scanner.scan(1001)
    assert (scan.settled, scan.paths) == ({}, frozenset({"a.mp4", "c.mp4"}))
    assert scanner.scan(1003).fresh == ("a.mp4", "c.mp4")


def test_a_file_that_is_replaced_settles_again(folder: Path) -> None:
    _put(folder, "a.mp4")
    scanner = Scanner(folder)
    before = (scanner.scan(0), scanner.scan(2))[1].settled["a.mp4"]
    _put(folder, "new")
    os.utime(folder / "new", ns=(before.mtime_ns, before.mtime_ns))
    (folder / "new").replace(folder / "a.mp4")
    assert scanner.scan(3).settled == {}
    assert scanner.scan(5).fresh == ("a.mp4",)


def test_what_is_no_finished_video_is_passed_over(folder: Path) -> None:
    _put(
        folder,
        "a.MP4",
        "b.mov",
        "mp4",
        "a.wav",
        "a.mid",
        ".hidden.mp4",
        ".folder/a.mp4",
        ".a.0123abcd.part.mp4",
        "c.mp4.part",
        "c.mp4.crdownload",
        "c.mp4.!ut",
        "c.mp4.download/c.mp4",
        "a.preview.mp4",
        "a.preview take 2.mkv",
        "a take 3.preview.mov",
        "a take 3.preview (2).mov",
        "a.cmt/take 1/a.mp4",
        "$RECYCLE.BIN/a.mp4",
        "System Volume Information/a.mp4",
        "__MACOSX/a.mp4",
        "@eaDir/a.mp4",
        "node_modules/a.mp4",
    )
    (folder / "folder.mp4").mkdir()
    scanner = Scanner(folder)
    assert _names(scanner) == ["a.MP4", "b.mov", "node_modules/a.mp4"]
    assert scanner.scan(2000).problems == ()


def test_projects_are_found(folder: Path) -> None:
    _put(folder, "a.cmt/project.json", "sub/b.cmt/project.json", ".c.cmt/project.json", "a.cmt/x.cmt/project.json")
    (folder / "d.cmt").touch()
    assert Scanner(folder).scan(0).projects == ("a.cmt", "sub/b.cmt")


def test_patterns_are_ignored(folder: Path) -> None:
    _put(folder, "a.mp4", "raw/a.mp4", "raw/deep/b.mp4", "sub/raw/c.mp4", "x/draft 1.mp4", "x/old.mov", "y/old.mov")
    ignore = ["raw", "draft*", "x/*.mov"]
    assert _names(Scanner(folder, ignore=ignore)) == ["a.mp4", "y/old.mov"]
    assert _names(Scanner(folder, ignore=["raw/*"])) == [
        "a.mp4",
        "sub/raw/c.mp4",
        "x/draft 1.mp4",
        "x/old.mov",
        "y/old.mov",
    ]


@posix
def test_names_may_be_strange(folder: Path) -> None:
    names = ["a b  c.mp4", "line\nbreak.mp4", "ünï/日本 🎬.mp4", "'\"$(x);*?[.mp4", "-rf.mp4"]
    _put(folder, *names)
    assert _names(Scanner(folder)) == sorted(names)


@linux
def test_names_that_are_no_text_are_told_once(folder: Path) -> None:
    _put(folder, "a.mp4")
    for name in (b"\xff.mp4", b"\xfe.txt"):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).touch()
    scanner = Scanner(folder)
    scans = [scanner.scan(now) for now in (0, 10)]
    assert scans[0].problems == (r"'\udcff.mp4' is passed over: its name is not valid Unicode.",)
    assert scans[1].problems == ()
    assert [*scans[1].settled] == ["a.mp4"]


@posix
def test_links_to_files_are_followed_and_to_folders_not(folder: Path, tmp_path: Path) -> None:
    _put(tmp_path, "else/b.mp4")
    _put(folder, "sub/a.mp4")
    (folder / "link.mp4").symlink_to(tmp_path / "else" / "b.mp4")
    (folder / "dead.mp4").symlink_to(tmp_path / "nothing")
    (folder / "self.mp4").symlink_to("self.mp4")
    (folder / "sub" / "up").symlink_to(folder)
    (folder / "else").symlink_to(tmp_path / "else")
    os.mkfifo(folder / "pipe.mp4")
    scanner = Scanner(folder)
    problems = scanner.scan(0).problems
    assert [*scanner.scan(10).settled] == ["link.mp4", "sub/a.mp4"]
    assert [problem.split(":")[0] for problem in problems] == ["Cannot read self.mp4"]


@posix
def test_a_deep_folder_is_searched_to_its_end(folder: Path) -> None:
    deep = "/".join(f"{level}" for level in range(200))
    _put(folder, f"{deep}/a.mp4", "b.mp4")
    assert _names(Scanner(folder)) == [f"{deep}/a.mp4", "b.mp4"]


def test_a_thousand_files_settle_together(folder: Path) -> None:
    _put(folder, *(f"{number % 20}/{number}.mp4" for number in range(1000)))
    scanner = Scanner(folder)
    assert scanner.scan(0).waiting == 1000
    assert len(scanner.scan(2).fresh) == 1000
    (folder / "0" / "0.mp4").unlink()
    assert len(scanner.scan(3).settled) == 999


@pytest.fixture
def locked(folder: Path) -> Iterator[Path]:
    locked = folder / "locked"
    locked.mkdir()
    yield locked
    locked.chmod(0o700)


@posix
def test_an_unreadable_folder_is_reported_once_and_remembered(folder: Path, locked: Path) -> None:
    _put(folder, "a.mp4", "locked/b.mp4", "locked/b.cmt/project.json")
    scanner = Scanner(folder)
    assert _names(scanner) == ["a.mp4", "locked/b.mp4"]
    locked.chmod(0)
    if os.access(locked, os.R_OK):
        pytest.skip("this user may read everything")
    scans = [scanner.scan(now) for now in (1001, 1002)]
    assert scans[0].problems == ("Cannot read locked: Permission denied.",)
    assert scans[1].problems == ()
    assert all([*scan.settled] == ["a.mp4", "locked/b.mp4"] for scan in scans)
    assert scans[1].projects == ("locked/b.cmt",)
    locked.chmod(0o700)
    assert scanner.scan(1003).problems == ()
    locked.chmod(0)
    assert scanner.scan(1004).problems == scans[0].problems


def test_a_folder_that_vanishes_is_not_an_empty_one(folder: Path) -> None:
    _put(folder, "a.mp4")
    scanner = Scanner(folder)
    assert _names(scanner) == ["a.mp4"]
    folder.rename(folder.with_name("away"))
    scan = scanner.scan(1001)
    assert (scan.there, [*scan.settled], scan.fresh) == (False, ["a.mp4"], ())
    assert scan.problems == (f"Cannot read {folder}: No such file or directory.",)
    assert scanner.scan(1002).problems == ()
    folder.with_name("away").rename(folder)
    back = scanner.scan(1003)
    assert (back.there, [*back.settled], back.fresh) == (True, ["a.mp4"], ())
    (folder / "a.mp4").unlink()
    assert scanner.scan(1004).paths == frozenset()


def test_a_file_is_no_folder(folder: Path) -> None:
    _put(folder, "file")
    assert not Scanner(folder / "file").scan(0).there


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs a second file system")
def test_an_empty_mount_point_is_not_an_empty_folder(folder: Path, tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        if Path(other).stat().st_dev == folder.stat().st_dev:
            pytest.skip("needs a second file system")
        place = tmp_path / "place"
        _put(folder, "a.mp4")
        place.symlink_to(other)
        scanner = Scanner(place)
        assert scanner.scan(0).there
        place.unlink()
        place.symlink_to(folder)
        assert _names(scanner) == ["a.mp4"]
        place.unlink()
        place.symlink_to(other)
        scan = scanner.scan(1001)
        assert (scan.there, [*scan.settled]) == (False, ["a.mp4"])
        assert scan.problems == (f"{place} is empty; the disk that was there is not.",)
        _put(Path(other), "b.mp4")
        scan = scanner.scan(1002)
        assert (scan.there, scan.paths) == (True, frozenset({"b.mp4"}))


PASSED_OVER = [
    "clip.f137.mp4",
    "clip.f251-drc.webm",
    "clip.fhls-1080p.mp4",
    "clip.temp.mp4",
    "clip.part.mp4",
    "clip (Anna's conflicted copy 2024-01-02).mp4",
    "clip (conflicted copy).mp4",
    "clip (conflicted copy 2021-05-03 123456).mp4",
    "clip (Case Conflict 1).mp4",
    "clip (case clash from Anna).mp4",
    "clip (In Konflikt stehende Kopie von PC 2012-01-01).mp4",
    "clip (Copie en conflit de PC 2013-01-01).mp4",
    "clip (SFConflict anna@example.org 2020-01-01-12-00-00).mp4",
    "clip.sync-conflict-20240102-120000-ABCDEFG.mp4",
    "clip_conflict-20150101-120000.mp4",
    "clip [conflicted].mp4",
    "clip~20240102-120000.mp4",
    "~syncthing~clip.mp4",
]
CLIPS = [
    "clip.mp4",
    "f137.mp4",
    "race.f1.mp4",
    "my.film.mp4",
    "clip.f4v",
    "a.template.mp4",
    "temp.mp4",
    "Part.mp4",
    "War (the conflict, part 2).mp4",
    "conflict.mp4",
    "Conflicted.mp4",
    "A copy (2).mp4",
    "desktop-tour.mp4",
    "clip.partial eclipse.mp4",
    "tour-desktop-monitor.mp4",
    "The.Conflict.mp4",
    "studio-DESKTOP-4A5B6C7.mp4",
    "2024-01-02.mp4",
]


@pytest.mark.parametrize("name", PASSED_OVER)
def test_other_programs_files_are_skipped_and_reported_if_staying(folder: Path, name: str) -> None:
    _put(folder, name, "other.mp4")
    scanner = Scanner(folder)
    assert scanner.scan(0).problems == scanner.scan(599).problems == ()
    scan = scanner.scan(600)
    assert (list(scan.settled), scan.paths, scan.waiting) == (["other.mp4"], frozenset({"other.mp4"}), 0)
    assert scan.problems[0].startswith(f"{name} is passed over: its name is that of ")
    assert scanner.scan(1800).problems == ()


@pytest.mark.parametrize("name", ["clip_conf(1).mp4", "clip.Conflict.mp4", "clip-DESKTOP-4A5B6C7.mp4"])
def test_what_may_be_a_copy_is_one_beside_the_first(folder: Path, name: str) -> None:
    _put(folder, name, "sub/clip.mp4")
    assert _names(Scanner(folder)) == [name, "sub/clip.mp4"]
    _put(folder, "clip.mp4")
    assert _names(Scanner(folder)) == ["clip.mp4", "sub/clip.mp4"]


def test_names_that_only_look_like_those_are_clips(folder: Path) -> None:
    _put(folder, *CLIPS)
    assert _names(Scanner(folder)) == sorted(CLIPS)


@pytest.mark.parametrize(
    "trash",
    [
        *("#recycle", "@Recycle", "@eaDir", ".Trash-1000", ".Trashes", "$RECYCLE.BIN", "System Volume Information"),
        *(
            "lost+found",
            "#snapshot",
            "@Recently-Snapshot",
            ".stversions",
            "LOST.DIR",
            "Network Trash Folder",
            "clip.part",
        ),
    ],
)
def test_trash_and_versions_are_passed_over_at_any_depth(folder: Path, trash: str) -> None:
    _put(folder, "clip.mp4", f"{trash}/deleted.mp4", f"sub/{trash}/sub/deleted.mp4", "sub/kept.mp4")
    assert _names(Scanner(folder)) == ["clip.mp4", "sub/kept.mp4"]


@pytest.mark.parametrize(
    "sign",
    [
        *("clip.mp4.part", "clip.mp4.aria2", "clip.mp4.ytdl", "clip.mp4.crdownload", "clip.mp4.!qB", "clip.mp4.!ut"),
        *(
            "clip.mp4.part-Frag12",
            "clip.mp4.part.aria2",
            "clip.Xy3kd9_a.mp4.part",
            "clip.f140.m4a.part",
            "clip.temp.mp4",
        ),
        *("clip.mp4.!sync", "clip.mp4.filepart", "clip.mp4.PART"),
    ],
)
@pytest.mark.parametrize("content", [b"half", b""])
def test_a_clip_waits_while_a_sibling_marks_it_incomplete(folder: Path, sign: str, content: bytes) -> None:
    (folder / "clip.mp4").write_bytes(content)
    _put(folder, sign, "other.mp4", "sub/clip.mp4")
    scanner = Scanner(folder)
    scanner.scan(0)
    scan = scanner.scan(100)
    assert (sorted(scan.settled), scan.waiting, scan.soonest) == (["other.mp4", "sub/clip.mp4"], 1, None)
    told = scanner.scan(700).problems
    assert f"clip.mp4 waits: {sign} beside it says that it is not complete." in told
    (folder / sign).unlink()
    (folder / "clip.mp4").write_bytes(b"whole")
    assert scanner.scan(1000).soonest == 1002
    assert scanner.scan(1002).fresh == ("clip.mp4",)


@linux
def test_an_in_place_change_of_equal_size_is_seen(folder: Path) -> None:
    _put(folder, "a.mp4")
    scanner = Scanner(folder)
    scanner.scan(0)
    before = scanner.scan(2).settled["a.mp4"]
    status = (folder / "a.mp4").stat()
    with (folder / "a.mp4").open("r+b") as file:
        file.write(bytes(byte ^ 1 for byte in (folder / "a.mp4").read_bytes()))
    os.utime(folder / "a.mp4", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert scanner.scan(3).settled == {}
    after = scanner.scan(5).settled["a.mp4"]
    assert (before.size, before.mtime_ns, before.inode) == (after.size, after.mtime_ns, after.inode)
    assert before != after
