"""The spool: the control API by files, for programs that cannot open a socket, such as REAPER's scripts.

A program puts `requests/ID.json`, written elsewhere and renamed into place, and finds `answers/ID.json`:

    {"do": "score", "with": {"path": "clip.mp4"}}                        names and fields as in openapi.json
    {"ok": true, "answer": {…}}  or  {"ok": false, "error": sentence, "hint": sentence, "code": exit code}

A request is a regular file, and read as a body of HTTP is; whatever else bears such a name stays where it is, and is
told in the log, once. A request is carried out once. It is moved to `taken` before, and goes when its answer is there,
so that a daemon that is killed meanwhile leaves it for the next one. That does again what may be done twice: what only
looks, and what makes a job, whose key is the request's ID. Of all else it says that nobody knows. Only the owner can
enter the folder.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from cmt_bridge.core.files import complete_path, read_regular
from cmt_bridge.errors import CmtBridgeError, UsageError
from cmt_bridge.service.dispatch import Desk, dispatch, unforeseen
from cmt_bridge.service.openapi import Operation, operations
from cmt_bridge.service.reader import MOST_BYTES, read_object

__all__ = ["Spool"]

EVERY = 0.2  # s between two looks
REST = 10  # the same, as a multiple of what a look took, where folders are so full that looks take long
TIDY_EVERY = 3600.0  # s
KEPT = 86_400.0  # s that an answer nobody fetched is kept
MOST_AT_ONCE = 32
MOST_TOLD = 50  # things out of place that the log names
NAME: Final = re.compile(r"([A-Za-z0-9_-]{1,64})\.json")
NOT_BY_FILE: Final = ("events",)

logger = logging.getLogger(__name__)


class Spool:
    """Answer what is asked for in a folder, while `run` runs."""

    def __init__(self, desk: Desk, folder: Path) -> None:
        self._desk = desk
        self._requests, self._answers, self._taken = (folder / name for name in ("requests", "answers", "taken"))
        self._tasks: set[asyncio.Task[None]] = set()
        self._told: set[str] = set()

    async def run(self) -> None:
        """Look and answer until cancelled."""
        tidied = 0.0
        resumed = False
        try:
            while True:
                began = time.monotonic()
                if self._is_ready():
                    if not resumed:
                        await self._resume()
                        resumed = True
                    if began - tidied > TIDY_EVERY or not tidied:
                        tidied = began
                        await asyncio.to_thread(self._tidy)
                    await self._look()
                await asyncio.sleep(max(EVERY, REST * (time.monotonic() - began)))
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _is_ready(self) -> bool:
        """Make the folders where they are missing; return whether they are there."""
        for each in (self._requests, self._answers, self._taken):
            try:
                with suppress(FileExistsError):
                    each.parent.mkdir(mode=0o700, exist_ok=True)
                    each.mkdir(mode=0o700)
                if each.is_symlink() or not each.is_dir():
                    self._tell(each, "is no folder, so nothing can be asked for by file until it is moved away")
                    return False
            except OSError as error:
                self._tell(each, f"cannot be used: {error.strerror}")
                return False
        return True

    async def _resume(self) -> None:
        """Take up what a daemon before this one had taken."""
        for path in await asyncio.to_thread(self._listed, self._taken):
            while len(self._tasks) >= MOST_AT_ONCE:
                await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
            self._begin(path, again=True)

    async def _look(self) -> None:
        for path in await asyncio.to_thread(self._listed, self._requests):
            if len(self._tasks) >= MOST_AT_ONCE:
                return
            taken = self._taken / path.name
            try:
                if os.path.lexists(taken) or os.path.lexists(self._answers / path.name):
                    path.unlink()  # this ID was used before
                    continue
                path.replace(taken)
            except FileNotFoundError:
                continue
            except OSError as error:
                self._tell(path, f"cannot be taken: {error.strerror}")
                continue
            self._begin(taken, again=False)

    def _begin(self, path: Path, *, again: bool) -> None:
        task = asyncio.create_task(self._carry_out(path, again=again))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry_out(self, path: Path, *, again: bool) -> None:
        answer = self._answers / path.name
        if not os.path.lexists(answer):
            said = await self._answer(path, again=again)
            try:
                with complete_path(answer, parents=False) as temporary:
                    temporary.write_text(json.dumps(said), encoding="utf-8")
            except CmtBridgeError as error:
                logger.error("%s", error)
                return
        with suppress(OSError):
            path.unlink()

    async def _answer(self, path: Path, *, again: bool) -> dict[str, Any]:
        try:
            asked = _read(path)
            name, given = asked["do"], dict(asked["with"])
            operation = operations()[name]
            if again and not _may_be_done_twice(operation, given):
                raise CmtBridgeError(
                    f"The daemon was ended while it did this ({name}).", hint="Look how things stand, then ask again."
                )
            if operation.makes_a_job:
                given.setdefault("key", path.stem)
            return {"ok": True, "answer": await dispatch(self._desk, operation, given)}
        except CmtBridgeError as error:
            return {"ok": False, **error.to_json()}
        except Exception:
            logger.exception("%s failed.", path.name)
            return {"ok": False, **unforeseen().to_json()}

    def _tidy(self) -> None:
        for path in self._listed(self._answers):
            with suppress(OSError):
                if time.time() - path.lstat().st_mtime > KEPT:
                    path.unlink()

    def _listed(self, folder: Path) -> list[Path]:
        """Return the requests or answers in a folder, by name."""
        try:
            return sorted(self._regular(folder))
        except OSError as error:
            self._tell(folder, f"cannot be read: {error.strerror}")
            return []

    def _regular(self, folder: Path) -> Iterator[Path]:
        with os.scandir(folder) as entries:
            for entry in entries:
                if NAME.fullmatch(entry.name):
                    if entry.is_file(follow_symlinks=False):
                        yield Path(entry.path)
                    else:
                        self._tell(Path(entry.path), "is no regular file and is passed over")

    def _tell(self, path: Path, what: str) -> None:
        """Say in the log what is out of place, once."""
        sentence = f"{path} {what}."
        if sentence in self._told or len(self._told) > MOST_TOLD:
            return
        self._told.add(sentence)
        logger.warning("%s", sentence if len(self._told) <= MOST_TOLD else "More in the spool is passed over.")


def _may_be_done_twice(operation: Operation, given: Mapping[str, Any]) -> bool:
    """Return whether a request done twice leaves things as once; a step from the current take does not."""
    if "step" in given and "take" not in given:
        return False
    return operation.repeatable or operation.makes_a_job


def _read(path: Path) -> dict[str, Any]:
    """Read a request. Raises `UsageError` where it is none."""
    try:
        data = read_regular(path, MOST_BYTES)
    except OSError as error:
        raise UsageError(
            f"The request cannot be read: {error.strerror}.", hint="Write it as a file, then rename it."
        ) from error
    asked = read_object(data, "The request")
    if not isinstance(asked.get("with", {}), dict):
        raise UsageError("The request is no object with `do` and `with`.", hint="See docs/control.md.")
    if str(asked.get("do")) not in operations().keys() - set(NOT_BY_FILE):
        raise UsageError(f"There is nothing like {str(asked.get('do'))[:64]!r}.", hint="See docs/control.md.")
    return {"do": asked["do"], "with": asked.get("with", {})}
