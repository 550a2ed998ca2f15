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
from cmt_bridge.service.control import Control, Json
from cmt_bridge.service.events import Events

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
    stopped: bool = False

    def _note(self, *what: Any) -> None:
        self.asked.append(what)
        if self.error is not None:
            raise self.error

    async def status(self) -> Json:
        self._note("status")
        return {"folder": str(self.folder)}

    async def jobs(self, state: str | None, limit: int) -> list[Json]:
        self._note("jobs", state, limit)
        return [job for job in reversed(self.table) if state in (None, job["state"])][:limit]

    async def job(self, number: int) -> Json | None:
        self._note("job", number)
        return next((job for job in self.table if job["id"] == number), None)

    async def cancel(self, number: int) -> Json | None:
        self._note("cancel", number)
        return self.become(number, "cancelled") if number <= len(self.table) else None

    async def score(self, request: Json) -> Json:
        self._note("score", request)
        return self._new("score", request)

    async def regenerate(self, request: Json) -> Json:
        self._note("regenerate", request)
        return self._new("regenerate", request)

    async def takes(self, path: str) -> Json:
        self._note("takes", path)
        return {"path": path, "takes": []}

    async def choose(self, path: str, verb: str, take: int | None, step: int) -> Json:
        self._note("choose", path, verb, take, *([step] if step else []))
        return {"path": path, "takes": []}

    async def diff(self, path: str, a: int, b: int) -> Json:
        self._note("diff", path, a, b)
        return {"path": path}

    async def arrangement(self, path: str, take: int | None) -> Json:
        self._note("arrangement", path, take)
        return dict(MUSIC)

    async def export(self, path: str, project: str, take: int | None, start: str | None, rate: str | None) -> Json:
        self._note("export", path, project, take, start, rate)
        return {"files": [{"format": project, "path": path, "fresh": True}]}

    async def stream(self, request: Json) -> Json:
        self._note("stream", request)
        return {"playing": request["path"]}

    async def stream_status(self) -> Json:
        self._note("stream_status")
        return {"playing": ""}

    async def stream_control(self, wanted: Json) -> Json:
        self._note("stream_control", wanted)
        known = {name: value for name, value in wanted.items() if name not in ("learn", "loop")}
        return Controls().turned(known).to_json()

    async def stream_stop(self) -> Json:
        self._note("stream_stop")
        return {"playing": ""}

    async def stop(self) -> None:
        self._note("stop")
        self.stopped = True

    def _new(self, kind: str, request: Json) -> Json:
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
            "request": request,
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
    control: Control
    loop: asyncio.AbstractEventLoop
    token: str

    @property
    def port(self) -> int:
        return self.control.port

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

    async def begin() -> tuple[MemoryDesk, Control]:
        desk = MemoryDesk(folder)
        control = Control(desk, token)
        await control.start()
        return desk, control

    try:
        desk, control = asyncio.run_coroutine_threadsafe(begin(), loop).result(10)
        served = Served(desk, control, loop, token)
        try:
            yield served
        finally:
            served.run(control.stop())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
