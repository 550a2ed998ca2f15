"""A desk that remembers what it was asked, and a server of it on a real socket, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from cmt_bridge.live.controls import Controls
from cmt_bridge.service.dispatch import Fields, Json
from cmt_bridge.service.events import Events
from cmt_bridge.service.http import HttpServer
from cmt_bridge.service.openapi import document

T = TypeVar("T")


MUSIC: Json = {
    "take": 1,
    "title": "clip",
    "division": 480,
    "tempos": [[0, 500000]],
    "metres": [[0, 4, 4]],
    "length": 1920,
    "duration": 2.0,
    "frame_rate": [25, 1],
    "parts": [
        {
            "name": "Piano",
            "channel": 0,
            "program": 0,
            "colour": [74, 120, 178],
            "notes": [[0, 480, 0, 60, 90]],
            "events": [[0, "c000"]],
        }
    ],
    "markers": [[1.0, "cut", "Cut 1"]],
    "sections": [[0.0, 2.0, "Section A"]],
}


@dataclass
class MemoryDesk:
    """Answers whatever it is asked, from a list of jobs; `error` is raised instead where it is set."""

    folder: Path
    events: Events = field(default_factory=Events)
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    table: list[Json] = field(default_factory=list)
    error: Exception | None = None

    async def handle(self, operation: str, fields: Fields) -> Json | None:
        """Note what is asked, and answer it."""
        self.asked.append((operation, dict(fields)))
        if self.error is not None:
            raise self.error
        answer = getattr(self, f"_{operation}", None)
        if answer is not None:
            found: Json | None = answer(fields)
            return found
        return {"path": fields["path"], "takes": []} if "path" in fields else {"playing": ""}

    def _status(self, _: Fields) -> Json:
        return {"folder": str(self.folder)}

    def _jobs(self, fields: Fields) -> Json:
        found = [job for job in reversed(self.table) if fields.get("state") in (None, job["state"])]
        return {"jobs": found[: fields.get("limit", 100)]}

    def _job(self, fields: Fields) -> Json | None:
        return next((job for job in self.table if job["id"] == fields["id"]), None)

    def _cancel(self, fields: Fields) -> Json | None:
        return self.become(fields["id"], "cancelled") if fields["id"] <= len(self.table) else None

    def _score(self, fields: Fields) -> Json:
        return self.new("score", fields)

    def _regenerate(self, fields: Fields) -> Json:
        return self.new("regenerate", fields)

    def _arrangement(self, _: Fields) -> Json:
        return dict(MUSIC)

    def _export(self, fields: Fields) -> Json:
        return {"files": [{"format": fields["project"], "path": fields["path"], "fresh": True}]}

    def _stream(self, fields: Fields) -> Json:
        return {"playing": fields["path"]}

    def _stream_control(self, fields: Fields) -> Json:
        known = {name: value for name, value in fields.items() if name not in ("learn", "loop")}
        return Controls().turned(known).to_json()

    def _stop(self, _: Fields) -> Json:
        return {"stopping": True}

    def _openapi(self, _: Fields) -> Json:
        return dict(document())

    def new(self, kind: str, request: Fields) -> Json:
        """Add a job, and tell."""
        job = {
            "id": len(self.table) + 1,
            "kind": kind,
            "path": request["path"],
            "state": "waiting",
            "stage": "",
            "share": 0.0,
            "tries": 0,
            "reason": "",
            "takes": [],
            "request": dict(request),
            "created": "2026-01-01T00:00:00+00:00",
            "ended": "",
        }
        self.table.append(job)
        self.events.publish({"event": "job", "job": job})
        return job

    def become(self, number: int, state: str) -> Json:
        """Give a job another state, and tell."""
        job = self.table[number - 1]
        job["state"] = state
        self.events.publish({"event": "job", "job": dict(job)})
        return job


@dataclass
class Served:
    """A desk that is being served, and its loop."""

    desk: MemoryDesk
    server: HttpServer
    loop: asyncio.AbstractEventLoop
    token: str

    @property
    def port(self) -> int:
        return self.server.port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something in the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call something in the server's loop."""

        async def work() -> T:
            return function(*arguments)

        return self.run(work())


@contextmanager
def serve(folder: Path, token: str = "t" * 43) -> Iterator[Served]:
    """Serve a desk of a folder while the body runs."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def begin() -> tuple[MemoryDesk, HttpServer]:
        desk = MemoryDesk(folder)
        server = HttpServer(desk, token)
        await server.start()
        return desk, server

    try:
        desk, server = asyncio.run_coroutine_threadsafe(begin(), loop).result(10)
        served = Served(desk, server, loop, token)
        try:
            yield served
        finally:
            served.run(server.stop())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.run_until_complete(_end_tasks())
        loop.close()


async def _end_tasks() -> None:
    """End what is left in a loop before it is closed, as `asyncio.run` does: connections that are being let go."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    await asyncio.sleep(0)  # so that a transport that was let go last is closed
