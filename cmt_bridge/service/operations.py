"""Operations: what can be asked of a daemon, by the names of openapi.json, with what carries each of them out.

A new operation is an entry in `OPERATIONS` and its description in openapi.json; HTTP, OSC, the spool, the client and
their checks follow from these two.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cmt_bridge import __version__
from cmt_bridge.errors import UsageError
from cmt_bridge.scoring.choose import choose, compare, list_takes
from cmt_bridge.scoring.export import export, music_of
from cmt_bridge.scoring.regenerate import RegenerateRequest
from cmt_bridge.service.dispatch import Fields, Json
from cmt_bridge.service.finder import Finder
from cmt_bridge.service.jobs import JobTable
from cmt_bridge.service.openapi import default, document
from cmt_bridge.service.runner import Runner
from cmt_bridge.service.stage import Stage
from cmt_bridge.service.status import DaemonStatus
from cmt_bridge.settings import check_texts

__all__ = ["OPERATIONS", "Handler", "Services"]


@dataclass(frozen=True)
class Services:
    """The parts of a daemon that has started. `stop` begins to end it, and returns at once."""

    folder: Path
    table: JobTable
    finder: Finder
    runner: Runner
    stage: Stage
    stop: Callable[[], None]

    @property
    def status(self) -> DaemonStatus:
        """How the daemon is."""
        return DaemonStatus(
            folder=self.folder,
            pid=os.getpid(),
            version=__version__,
            is_there=self.finder.is_there,
            videos=self.finder.videos,
            is_full=self.runner.is_full,
            jobs=self.table.counts(),
            workers={name: lane.pid for name, lane in self.runner.lanes.items()},
            problems=self.finder.problems,
            playing=self.stage.state()["playing"],
        )


Handler = Callable[[Services, Fields], Awaitable[Json | None]]
"""What carries out an operation: checked fields in, the answer out; None where what is asked about does not exist."""


async def _status(services: Services, _: Fields) -> Json:
    return services.status.to_json()


# Jobs


async def _jobs(services: Services, fields: Fields) -> Json:
    found = services.table.list(fields.get("state"), fields.get("limit", default("jobs", "limit")))
    return {"jobs": [job.to_json() for job in found]}


async def _job(services: Services, fields: Fields) -> Json | None:
    job = services.table.get(fields["id"])
    return job.to_json() if job else None


async def _cancel(services: Services, fields: Fields) -> Json | None:
    number = fields["id"]
    return services.runner.cancel(number).to_json() if services.table.get(number) else None


async def _score(services: Services, fields: Fields) -> Json:
    settings: Json = {name: fields[name] for name in ("variations", "seed") if name in fields}
    settings |= fields.get("options", {})
    check_texts(settings)
    request = {"settings": settings, "again": fields.get("again", True)}
    return _new_job(services, "score", fields["path"], request, fields.get("key"))


async def _regenerate(services: Services, fields: Fields) -> Json:
    request = {"seed": secrets.randbelow(2**31), **fields}
    if "base" in request:
        request["base"] = str(services.folder / request["base"])
    RegenerateRequest.from_json(request)  # what cannot be is refused at once
    return _new_job(services, "regenerate", request.pop("path"), request, request.pop("key", None))


def _new_job(services: Services, kind: str, path: str, request: Fields, key: str | None) -> Json:
    if not (services.folder / path).exists():
        raise UsageError(f"There is no {path} in {services.folder}.", hint="Name a video in the watched folder.")
    return services.runner.ask(kind, path, request, key).to_json()


# Takes


async def _takes(services: Services, fields: Fields) -> Json:
    return await asyncio.to_thread(list_takes, services.folder / fields["path"])


def _choosing(verb: str) -> Handler:
    """Return what carries out one of the choices among takes."""

    async def handler(services: Services, fields: Fields) -> Json:
        path, take, step = services.folder / fields["path"], fields.get("take"), fields.get("step", 0)
        return await asyncio.to_thread(choose, path, verb, take, step=step)

    return handler


async def _diff(services: Services, fields: Fields) -> Json:
    return await asyncio.to_thread(compare, services.folder / fields["path"], fields["a"], fields["b"])


async def _arrangement(services: Services, fields: Fields) -> Json:
    return await asyncio.to_thread(music_of, services.folder / fields["path"], fields.get("take"))


async def _export(services: Services, fields: Fields) -> Json:
    more: dict[str, Any] = {name: fields.get(name) for name in ("take", "start", "rate")}
    files = await asyncio.to_thread(export, services.folder / fields["path"], [fields["project"]], **more)
    return {"files": [file.to_json() for file in files]}


# Streaming


async def _stream(services: Services, fields: Fields) -> Json:
    return await services.stage.play(fields["path"], fields)


async def _stream_status(services: Services, _: Fields) -> Json:
    return services.stage.state()


async def _stream_control(services: Services, fields: Fields) -> Json:
    return services.stage.control(fields)


async def _stream_stop(services: Services, _: Fields) -> Json:
    await services.stage.stop()
    return services.stage.state()


# The daemon itself


async def _stop(services: Services, _: Fields) -> Json:
    services.stop()
    return {"stopping": True}


async def _openapi(_: Services, __: Fields) -> Json:
    return dict(document())


OPERATIONS: Final[Mapping[str, Handler]] = {
    "status": _status,
    "jobs": _jobs,
    "job": _job,
    "cancel": _cancel,
    "score": _score,
    "regenerate": _regenerate,
    "takes": _takes,
    "accept": _choosing("accept"),
    "reject": _choosing("reject"),
    "choose": _choosing("choose"),
    "undo": _choosing("undo"),
    "redo": _choosing("redo"),
    "diff": _diff,
    "arrangement": _arrangement,
    "export": _export,
    "stream": _stream,
    "stream_status": _stream_status,
    "stream_control": _stream_control,
    "stream_stop": _stream_stop,
    "stop": _stop,
    "openapi": _openapi,
}
"""All operations but `events`, which is no request with an answer: `cmt_bridge.service.ws` serves it."""
