"""Dispatch: a request is checked against openapi.json and handed to its operation, whichever way it came.

HTTP, OSC and the spool read a request each in its own way, and call `dispatch` with what they read.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from cmt_bridge.errors import CmtBridgeError, UsageError
from cmt_bridge.service.events import Events
from cmt_bridge.service.openapi import Operation, check

__all__ = ["Desk", "Fields", "Json", "RefusedError", "dispatch", "unforeseen"]

Json = dict[str, Any]
Fields = Mapping[str, Any]
"""What a request says: its parameters and the fields of its body, by name."""

PATHS: Final = ("path", "base")


class Desk(Protocol):
    """What dispatch hands requests to: a daemon."""

    @property
    def folder(self) -> Path:
        """The watched folder."""

    @property
    def events(self) -> Events:
        """What happens."""

    async def handle(self, operation: str, fields: Fields) -> Json | None:
        """Carry out an operation of openapi.json; return its answer, None where what it is about does not exist.

        The fields are checked, and `path` and `base` are relative to the folder, with `/`. Raises `CmtBridgeError` for
        what cannot be done.
        """


class RefusedError(UsageError):
    """A request is refused with an HTTP status of its own."""

    def __init__(self, status: int, message: str, *, hint: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.headers = headers or {}


def unforeseen() -> CmtBridgeError:
    """Return the error that a client is told of a fault of ours; the log tells more."""
    return CmtBridgeError("Something unforeseen went wrong.", hint="See daemon.log.")


async def dispatch(desk: Desk, operation: Operation, fields: Fields) -> Json:
    """Carry out a request; return the answer.

    Raises `UsageError` where `fields` are not as openapi.json says, and what the desk raises.
    """
    check(fields, operation.schema, "The request")
    paths = {name: _inside(desk.folder, fields[name]) for name in PATHS if name in fields}
    answer = await desk.handle(operation.name, {**fields, **paths})
    if answer is None:
        raise RefusedError(404, f"There is no job {fields['id']}.", hint="List the jobs to see their numbers.")
    return answer


def _inside(folder: Path, said: str) -> str:
    """Return a path relative to the folder, with `/`; a link keeps its own name, and must not lead out either."""
    root = os.path.realpath(folder)
    parent, name = os.path.split(os.path.normpath(os.path.join(root, said)))  # noqa: PTH118  (keeps odd names as said)
    there = Path(os.path.realpath(parent), name)
    if there.is_relative_to(root) and Path(os.path.realpath(there)).is_relative_to(root):
        return there.relative_to(root).as_posix()
    raise RefusedError(403, f"{said} is not in {root}.", hint="Give a path in the watched folder.")
