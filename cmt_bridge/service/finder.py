"""From looks at a folder to jobs: each content that was not scored yet becomes one."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from cmt_bridge.config import Watching, read_config
from cmt_bridge.core.files import OLD, open_regular, sweep
from cmt_bridge.core.signature import FileSignature
from cmt_bridge.errors import InputError, OutputError, UsageError
from cmt_bridge.service.jobs import Found, JobTable, Noted
from cmt_bridge.service.reason import take_back, tell
from cmt_bridge.service.scan import Scan, Scanner
from cmt_bridge.service.watch import Watch
from cmt_bridge.takes.take_folder import PROJECT, TakeFolder

__all__ = ["Finder"]

log = logging.getLogger(__name__)

READ_AT_ONCE = 1.0  # s, for which contents are read before what was found becomes jobs
PIECE = 1 << 22  # bytes that are read before a look whether it is to stop
AGAIN = 5.0  # s, until a look is taken again that could not be noted
MOST_PROBLEMS = 20  # that are shown
MOST_SAID = 10_000  # that are not said again


class Finder:
    """Look at a folder and add a job to the table for every video in it that has no score yet.

    `looked` is called after every look. What the looks find of projects counts as scored, so that a table that was
    lost leads to nothing being scored twice.
    """

    def __init__(self, folder: Path, table: JobTable, looked: Callable[[], None]) -> None:
        self.folder = folder
        self.is_there = True
        self.videos = 0
        self._table = table
        self._looked = looked
        self._problems: tuple[str, ...] = ()
        self._said: set[str] = set()
        self._wrong = ""  # what is wrong about the configuration at the moment
        self._watching: Watching | None = None
        self._scanner = Scanner(folder)
        self._watch: Watch | None = None
        self._stopped = False
        self._read: dict[str, FileSignature] = {}
        self._projects: dict[str, FileSignature] = {}
        self._swept = -OLD

    @property
    def problems(self) -> tuple[str, ...]:
        """Return what is wrong about the configuration at the moment, and what else went wrong lately."""
        return (*((self._wrong,) if self._wrong else ()), *self._problems)

    async def run(self) -> None:
        """Go on looking until it is stopped."""
        # A folder that is made and observed at once is observed twice, by which nothing is lost.
        warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning)
        await self._configure()
        watching = self._watching or Watching()  # another way of watching holds from the next start on
        self._watch = Watch(self.folder, polling=bool(watching.polling))
        within: float | None = None
        took = 0.0
        while await self._watch.changed(within=within, took=took):
            now = time.monotonic()
            scan = await asyncio.to_thread(self._scanner.scan, now)
            if scan.there and await self._configure():
                now = time.monotonic()
                scan = await asyncio.to_thread(self._scanner.scan, now)
            took = time.monotonic() - now
            try:
                await self._take_in(scan)
                within = None if scan.soonest is None else max(0.1, scan.soonest - time.monotonic())
            except OutputError as error:
                self._say(str(error))
                within = AGAIN
            self._looked()

    async def stop(self) -> None:
        """Look no more."""
        self._stopped = True
        if self._watch is not None:
            await self._watch.stop()

    def forget(self, path: str) -> None:
        """Take a file for one that was never seen, and look for it: its content was not scored."""
        self._read.pop(path, None)
        if self._watch is not None:
            self._watch.ring()

    async def _configure(self) -> bool:
        """Take up what cmt-bridge.toml of the folder says by now about watching; return whether that is
        something new.
        """
        try:
            watching = (await asyncio.to_thread(read_config, self.folder)).watch
            self._wrong = ""
        except UsageError as error:
            if str(error) != self._wrong:
                log.warning("%s", error)
            self._wrong = str(error)
            watching = self._watching or Watching()
        if watching == self._watching:
            return False
        self._watching = watching
        self._scanner = Scanner(self.folder, ignore=watching.ignore, settle=watching.settle)
        return True

    def _say(self, problem: str) -> None:
        if problem not in self._said and len(self._said) < MOST_SAID:
            self._said.add(problem)
            log.warning("%s", problem)
            self._problems = (*self._problems, problem)[-MOST_PROBLEMS:]

    async def _take_in(self, scan: Scan) -> None:
        if scan.there != self.is_there:
            log.warning("%s is %s", self.folder, "there again" if scan.there else "not there; waiting for it")
        self.is_there, self.videos = scan.there, len(scan.paths)
        for problem in scan.problems:
            self._say(problem)
        if not scan.there:
            return
        gone = self._table.forget_files(scan.paths)
        for path in gone:
            self._read.pop(path, None)
        await asyncio.to_thread(self._take_back, gone)
        scored = await asyncio.to_thread(self._changed_projects, scan.projects)
        for content, video, project in scored:
            self._table.scored(content, video, project)
            await asyncio.sleep(0)  # there may be thousands, and others ask meanwhile
        await asyncio.to_thread(self._take_back, [video for _, video, _ in scored])
        await self._add([(path, each) for path, each in scan.settled.items() if self._read.get(path) != each], scan)
        if time.monotonic() - self._swept >= OLD:
            self._swept = time.monotonic()
            places = {(self.folder / path).parent for path in (*scan.paths, *scan.projects)}
            await asyncio.to_thread(_sweep, places)

    async def _add(self, files: Iterable[tuple[str, FileSignature]], scan: Scan) -> None:
        """Read the contents of files that are not known yet, and let those without a score become jobs."""
        found: dict[str, tuple[FileSignature, str]] = {}
        since = time.monotonic()
        for path, signature in files:
            sha256 = self._table.known(path, signature)
            if sha256 is None:
                sha256 = await asyncio.to_thread(self._content, path, signature)
            if sha256 is not None:
                found[path] = signature, sha256
            if time.monotonic() - since > READ_AT_ONCE:
                self._note(found, scan.paths)
                found, since = {}, time.monotonic()
        self._note(found, scan.paths)

    def _note(self, found: dict[str, tuple[FileSignature, str]], here: frozenset[str]) -> None:
        if not found:
            return
        self._table.note_files(Noted(path, signature, sha256) for path, (signature, sha256) in found.items())
        added = self._table.add_scores((Found(path, sha256, {}) for path, (_, sha256) in found.items()), here=here)
        self._read |= {path: signature for path, (signature, _) in found.items()}
        for path, (_, sha256) in found.items():
            failed = self._table.failure(sha256)
            if failed is not None:  # the same broken clip, at another place
                tell(self.folder / path, failed.reason.replace(str(self.folder / failed.path), str(self.folder / path)))
        if added:
            log.info("%d new %s", len(added), "clip" if len(added) == 1 else "clips")
            self._looked()

    def _content(self, path: str, signature: FileSignature) -> str | None:
        """Return the hash of a file's content; None where it cannot be read, or became another meanwhile."""
        digest = hashlib.sha256()
        try:
            with open_regular(self.folder / path, follow=True) as file:
                while piece := file.read(PIECE):
                    if self._stopped:
                        return None
                    digest.update(piece)
            after = FileSignature.of((self.folder / path).stat())
        except OSError as error:
            self._say(f"Cannot read {path}: {error.strerror or error}.")
            return None
        return digest.hexdigest() if after == signature else None

    def _take_back(self, paths: Iterable[str]) -> None:
        for path in paths:
            take_back(self.folder / path)

    def _changed_projects(self, projects: tuple[str, ...]) -> list[tuple[str, str, str]]:
        """Return content, video and project of the scores in projects that changed."""
        scored = []
        for path in projects:
            file = self.folder / path / PROJECT
            with suppress(OSError, InputError):
                changed = FileSignature.of(file.lstat())
                if self._projects.get(path) == changed:
                    continue
                videos = TakeFolder(self.folder / path).videos()
                beside = Path(path).parent
                scored += [(video["sha256"], (beside / video["name"]).as_posix(), path) for video in videos]
                self._projects[path] = changed
        return scored


def _sweep(folders: Iterable[Path]) -> None:
    for folder in folders:
        sweep(folder)
