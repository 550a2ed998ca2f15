"""The spool: the control API by files, for programs that cannot open a socket, such as REAPER's scripts.

A program puts `requests/ID.json`, written elsewhere and renamed into place, and finds `answers/ID.json`:

    {"do": "score", "with": {"path": "clip.mp4"}}                        names and fields as in openapi.json
    {"ok": true, "answer": {…}}  or  {"ok": false, "error": sentence, "hint": sentence, "code": exit code}

A request is carried out once. It is moved to `taken` before, and goes when its answer is there, so that a daemon that
is killed meanwhile leaves it for the next one. That does again what may be done twice: what only looks, and what makes
a job, whose key is the request's ID. Of all else it says that nobody knows. Only the owner can enter the folder.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from cmt_bridge.core.files import complete_path
from cmt_bridge.errors import CmtBridgeError, UsageError
from cmt_bridge.service.control import Desk, carry_out
from cmt_bridge.service.openapi import operations

__all__ = ["Spool"]

EVERY = 0.2  # s between two looks
TIDY_EVERY = 3600.0  # s
KEPT = 86_400.0  # s that an answer nobody fetched is kept
MOST_BYTES = 1 << 16
MOST_AT_ONCE = 32
NAME: Final = re.compile(r"([A-Za-z0-9_-]{1,64})\.json")
KEYED: Final = ("score", "regenerate")
REPEATABLE: Final = ("choose", "accept", "export", "cancel", "stream_control", "stream_stop", "stop")
NOT_BY_FILE: Final = ("events",)

logger = logging.getLogger(__name__)


class Spool:
    """Answer what is asked for in a folder, while `run` runs."""

    def __init__(self, desk: Desk, folder: Path) -> None:
        self._desk = desk
        self._requests, self._answers, self._taken = (folder / name for name in ("requests", "answers", "taken"))
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Look and answer until cancelled."""
        for each in (self._requests, self._answers, self._taken):
            each.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            for path in self._listed(self._taken):
                self._begin(path, again=True)
            tidied = 0.0
            while True:
                if time.monotonic() - tidied > TIDY_EVERY or not tidied:
                    tidied = time.monotonic()
                    self._tidy()
                self._look()
                await asyncio.sleep(EVERY)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _look(self) -> None:
        for path in self._listed(self._requests):
            if len(self._tasks) >= MOST_AT_ONCE:
                return
            taken = self._taken / path.name
            try:
                if taken.exists() or (self._answers / path.name).exists():
                    path.unlink()  # this ID was used before
                    continue
                path.replace(taken)
            except OSError as error:
                logger.warning("%s cannot be taken: %s", path, error.strerror)
                continue
            self._begin(taken, again=False)

    def _begin(self, path: Path, *, again: bool) -> None:
        task = asyncio.create_task(self._carry_out(path, again=again))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry_out(self, path: Path, *, again: bool) -> None:
        answer = self._answers / path.name
        if not answer.exists():
            said = await self._answer(path, again=again)
            try:
                with complete_path(answer) as temporary:
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
            if again and not (operation.method == "GET" or name in KEYED + REPEATABLE):
                raise CmtBridgeError(
                    f"The daemon was ended while it did this ({name}).", hint="Look how things stand, then ask again."
                )
            if name in KEYED:
                given.setdefault("key", path.stem)
            return {"ok": True, "answer": await carry_out(self._desk, operation, given)}
        except CmtBridgeError as error:
            return {"ok": False, "error": str(error.args[0]), "hint": error.hint, "code": error.exit_code}
        except Exception:
            logger.exception("%s failed.", path.name)
            return {
                "ok": False,
                "error": "Something unforeseen went wrong.",
                "hint": "See daemon.log.",
                "code": CmtBridgeError.exit_code,
            }

    def _tidy(self) -> None:
        for path in self._listed(self._answers):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > KEPT:
                    path.unlink()

    @staticmethod
    def _listed(folder: Path) -> list[Path]:
        """Give the requests or answers in a folder, by name."""
        with suppress(OSError):
            return sorted(path for path in folder.iterdir() if NAME.fullmatch(path.name))
        return []


def _read(path: Path) -> dict[str, Any]:
    """Read a request. Raises `UsageError` where it is none."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        asked = json.loads(data)
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"The request cannot be read: {error}.", hint="Write it as JSON, then rename it.") from error
    if len(data) > MOST_BYTES:
        raise UsageError(f"The request is longer than {MOST_BYTES} bytes.", hint="Ask for less at once.")
    if not isinstance(asked, dict) or not isinstance(asked.get("with", {}), dict):
        raise UsageError("The request is no object with `do` and `with`.", hint="See docs/control.md.")
    if str(asked.get("do")) not in operations().keys() - set(NOT_BY_FILE):
        raise UsageError(f"There is nothing like {asked.get('do')!r}.", hint="See docs/control.md.")
    return {"do": asked["do"], "with": asked.get("with", {})}
