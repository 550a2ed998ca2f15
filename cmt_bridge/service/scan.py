"""Which videos are in a folder, and which of them have settled."""

from __future__ import annotations

import errno
import fnmatch
import os
import re
import signal
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cmt_bridge.core.signature import FileSignature
from cmt_bridge.service.mounts import is_remote
from cmt_bridge.service.names import PARTIAL_SUFFIXES, Unfinished, is_system_folder, reason_to_pass

__all__ = ["VIDEO_SUFFIXES", "Scan", "Scanner", "being_written"]

# fmt: off
VIDEO_SUFFIXES = frozenset({
    ".3g2", ".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".gif", ".m2t", ".m2ts", ".m2v", ".m4v",
    ".mjpeg", ".mkv", ".mov", ".mp4", ".mpe", ".mpeg", ".mpg", ".mpv", ".mts", ".mxf", ".ogm", ".ogv", ".qt",
    ".rm", ".rmvb", ".ts", ".vob", ".webm", ".wmv", ".y4m",
})
# fmt: on
PROJECT_SUFFIX = ".cmt"
PREVIEW = re.compile(r".*\.preview( take \d+)?( \(\d+\))?\.\w+", re.DOTALL)  # what `cmt-bridge preview` writes

SETTLE_SECONDS = 2.0
PATIENCE_SECONDS = 20.0  # how long an empty file may be about to grow
ODD_SECONDS = 600.0  # how long something that is passed over for its name, or held up by another file, is not told

_GONE = frozenset({errno.ENOENT, errno.ENOTDIR})


@dataclass(frozen=True)
class Scan:
    """What one look at a folder found. Paths are relative to it, with `/`, and sorted.

    `there` is False where the folder itself is missing, cannot be read or is a mount point without its disk; then
    nothing is known about its files, and all but `problems` is as it was before. `settled` are the files that are
    complete, `fresh` those that were not, or were others, one look ago. `waiting` files have not settled; `soonest` is
    the time, on the clock that `now` was read from, when the first of them may have, None where none waits but for
    another file to go. `paths` are all videos, settled or not, `projects` the folders with scores. `problems` are
    sentences that the looks before did not say.
    """

    there: bool
    settled: dict[str, FileSignature]
    fresh: tuple[str, ...]
    waiting: int
    soonest: float | None
    paths: frozenset[str]
    projects: tuple[str, ...]
    problems: tuple[str, ...]


@dataclass(slots=True)
class _Seen:
    """A video: since when it is as it is, whether another file says that it is not complete, and if it has settled."""

    signature: FileSignature
    since: float
    unfinished: bool
    settled: bool = False


class Scanner:
    """Look at a folder again and again. What the looks have to know of each other is kept here.

    Hidden files and folders, projects, previews, system folders, unfinished downloads and copies that programs make
    which sync are passed over (`names.py`), and so is what `ignore` says: patterns with `*`, `?` and `[…]` for the path
    of a file or folder, or for its name alone where there is no `/` in it. Links to files are followed. Links to
    folders are not: what they show lies in the watched folder anyway, or outside of it. Content is never read.
    """

    def __init__(
        self,
        folder: Path,
        *,
        ignore: Iterable[str] = (),
        settle: float = SETTLE_SECONDS,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._folder = folder
        self._settle = settle
        self._patience = patience
        patterns = [*ignore]
        self._ignored_path = _matcher(patterns)
        self._ignored_name = _matcher(pattern for pattern in patterns if "/" not in pattern)
        self._device: int | None = None
        self._seen: dict[str, _Seen] = {}
        self._projects: tuple[str, ...] = ()
        self._told: frozenset[str] = frozenset()
        self._odd: dict[str, float] = {}

    def scan(self, now: float) -> Scan:
        """Look once. `now` is in seconds on a clock that never jumps, such as `time.monotonic`."""
        walk = _Walk(self._is_ignored)
        there = self._is_there(walk)
        fresh: list[str] = []
        if there:
            found = walk.files | self._below(walk.unreadable)
            self._projects = tuple(sorted({*walk.projects, *self._projects_below(walk.unreadable)}))
            self._note(found, walk.unfinished, now)
            walk.problems += self._odd_for_long(walk.odd, now)
            fresh = [path for path in self._seen if self._settles(path, now)]
        waiting = [each for each in self._seen.values() if not each.settled]
        problems = tuple(problem for problem in dict.fromkeys(walk.problems) if problem not in self._told)
        self._told = frozenset(walk.problems)
        return Scan(
            there=there,
            settled={path: each.signature for path, each in self._seen.items() if each.settled},
            fresh=tuple(fresh),
            waiting=len(waiting),
            soonest=min((self._due(each, now) for each in waiting if not each.unfinished), default=None),
            paths=frozenset(self._seen),
            projects=self._projects,
            problems=problems,
        )

    def _is_there(self, walk: _Walk) -> bool:
        """Walk through the folder; return whether it was there, the same one from beginning to end."""
        try:
            before = self._folder.stat()
            empty = walk.walk(self._folder)
            after = self._folder.stat()
        except OSError as error:
            walk.problems = [f"Cannot read {self._folder}: {error.strerror or type(error).__name__}."]
            return False
        if (before.st_dev, before.st_ino) != (after.st_dev, after.st_ino):
            return False
        if empty and self._device not in (None, before.st_dev):
            walk.problems = [f"{self._folder} is empty; the disk that was there is not."]
            return False
        self._device = before.st_dev
        return True

    def _is_ignored(self, path: str, name: str) -> bool:
        return self._ignored_path(path) or self._ignored_name(name)

    def _below(self, folders: Iterable[str]) -> dict[str, FileSignature]:
        """Return what is known to lie in folders that cannot be read now."""
        prefixes = tuple(f"{folder}/" for folder in folders)
        return {path: each.signature for path, each in self._seen.items() if prefixes and path.startswith(prefixes)}

    def _projects_below(self, folders: Iterable[str]) -> Iterator[str]:
        prefixes = tuple(f"{folder}/" for folder in folders)
        return (path for path in self._projects if prefixes and path.startswith(prefixes))

    def _note(self, found: dict[str, FileSignature], unfinished: set[str], now: float) -> None:
        """Keep what was found: what is as it was goes on settling, all else begins to."""
        seen = {}
        for path in sorted(found):
            each, new = self._seen.get(path), _Seen(found[path], now, path in unfinished)
            same = each is not None and (each.signature, each.unfinished) == (new.signature, new.unfinished)
            seen[path] = each if each is not None and same else new
        self._seen = seen

    def _odd_for_long(self, odd: dict[str, str], now: float) -> list[str]:
        """Return the sentences about what is odd, where it has been so for long: most of it goes by itself."""
        self._odd = {path: self._odd.get(path, now) for path in odd}
        return [sentence for path, sentence in odd.items() if now - self._odd[path] >= ODD_SECONDS]

    def _settles(self, path: str, now: float) -> bool:
        """Return whether a file has settled by now and had not before."""
        each = self._seen[path]
        if each.settled or each.unfinished or self._wait(each) > now - each.since or being_written(self._folder / path):
            return False
        each.settled = True
        return True

    def _wait(self, each: _Seen) -> float:
        return self._settle if each.signature.size else self._patience

    def _due(self, each: _Seen, now: float) -> float:
        due = each.since + self._wait(each)
        return due if due > now else now + self._settle


class _Walk:
    """One way through a folder and all below, without recursion. A folder that shows up twice is entered once."""

    def __init__(self, is_ignored: Callable[[str, str], bool]) -> None:
        self._is_ignored = is_ignored
        self._visited: set[tuple[int, int]] = set()
        self.files: dict[str, FileSignature] = {}
        self.projects: list[str] = []
        self.unreadable: list[str] = []
        self.problems: list[str] = []
        self.unfinished: set[str] = set()
        self.odd: dict[str, str] = {}

    def walk(self, root: Path) -> bool:
        """Go all the way; return whether nothing at all is in the root. Raises `OSError` where that cannot be read."""
        folders = [""]
        empty = self._look(root, "", folders) == 0
        folders.remove("")
        while folders:
            folder = folders.pop()
            try:
                self._look(root / folder, folder, folders)
            except OSError as error:
                if error.errno not in _GONE:
                    self._skip(folder, error)
                    self.unreadable.append(folder)
        return empty

    def _look(self, place: Path, folder: str, folders: list[str]) -> int:
        """Look at one folder and put those in it on the list; return how many entries it has."""
        status = place.stat()
        identity = (status.st_dev, status.st_ino)
        if identity in self._visited:
            return 0
        self._visited.add(identity)
        with os.scandir(place) as listing:
            entries = list(listing)
        names = {entry.name for entry in entries}
        unfinished = Unfinished(names)
        for entry in entries:
            path = f"{folder}/{entry.name}" if folder else entry.name
            try:
                self._meet(entry, path, folders, names, unfinished)
            except OSError as error:
                if error.errno not in _GONE:
                    self._skip(path, error)
        return len(entries)

    def _meet(
        self, entry: os.DirEntry[str], path: str, folders: list[str], names: set[str], unfinished: Unfinished
    ) -> None:
        name = entry.name
        if name.startswith("."):
            return
        _, dot, ending = name.rpartition(".")
        suffix = dot + ending.lower()
        if _is_folder(entry):
            if suffix in PARTIAL_SUFFIXES or is_system_folder(name) or not self._may_enter(path, name):
                return
            (self.projects if suffix == PROJECT_SUFFIX else folders).append(path)
        elif suffix in VIDEO_SUFFIXES and not PREVIEW.fullmatch(name) and self._may_enter(path, name):
            status = entry.stat() if sys.platform != "win32" else Path(entry).stat()  # the entry has no inode there
            if not stat.S_ISREG(status.st_mode):
                return
            if reason := reason_to_pass(name, names):
                self.odd[path] = f"{path} is passed over: {reason}."
                return
            self.files[path] = FileSignature.of(status)
            if sign := unfinished.said_by(name):
                self.unfinished.add(path)
                self.odd[path] = f"{path} waits: {sign} beside it says that it is not complete."

    def _may_enter(self, path: str, name: str) -> bool:
        if not _is_unicode(name):
            self.problems.append(f"{path!a} is passed over: its name is not valid Unicode.")
            return False
        return not self._is_ignored(path, name)

    def _skip(self, path: str, error: OSError) -> None:
        self.problems.append(f"Cannot read {path}: {error.strerror or type(error).__name__}.")


def _is_folder(entry: os.DirEntry[str]) -> bool:
    if not entry.is_dir(follow_symlinks=False):
        return False
    if sys.platform == "win32":
        return entry.stat(follow_symlinks=False).st_reparse_tag != stat.IO_REPARSE_TAG_MOUNT_POINT
    return True


def _is_unicode(name: str) -> bool:
    if name.isascii():
        return True
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _matcher(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Return a test whether a text matches one of some patterns."""
    expressions = [fnmatch.translate(pattern) for pattern in patterns]
    if not expressions:
        return lambda _: False
    expression = re.compile("|".join(expressions))
    return lambda text: expression.match(text) is not None


if sys.platform == "linux":
    import fcntl

    def being_written(path: Path) -> bool:
        """Return whether somebody on this machine has a file open for writing.

        Asks for a lease, which the system grants only where there is no writer, and gives it back at once. False
        where that cannot be known: the file belongs to somebody else, or its file system knows no leases.
        """
        try:
            file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            # A writer who comes while the lease is held is announced by a signal; SIGIO would end this process.
            fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        except OSError as error:
            return error.errno == errno.EAGAIN and not is_remote(os.fstat(file).st_dev)
        finally:
            os.close(file)
        return False

else:

    def being_written(path: Path) -> bool:  # noqa: ARG001
        """Return whether somebody on this machine has a file open for writing; False where that cannot be known."""
        return False
