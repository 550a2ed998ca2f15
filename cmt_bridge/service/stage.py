"""The stage: the one stream that a daemon plays at a time, and the composer that stays warm for the next."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmt_bridge.config import read_config, state_root
from cmt_bridge.errors import CmtBridgeError, UsageError, known_error
from cmt_bridge.ipc.child import ChildProcess, Inbox
from cmt_bridge.live.learn import FILE_NAME, Learned
from cmt_bridge.live.request import asked

if TYPE_CHECKING:
    from cmt_bridge.live.conductor import Conductor

__all__ = ["Stage"]

log = logging.getLogger(__name__)

Json = dict[str, Any]
KEPT = ("picture", "ready", "take", "cables")


class Stage:
    """Play streams of a folder's videos, one at a time; `publish` is told what happens.

    A composer that was needed stays for `release` seconds after the stream; where [live] of the folder wants it warm,
    it is loaded by `start` and stays.
    """

    def __init__(self, folder: Path, publish: Callable[[Mapping[str, Any]], None], release: float) -> None:
        self.folder = folder
        self._publish = publish
        self._release = release
        self._warm = False
        self._composer: ChildProcess | None = None
        self._idle: Inbox = asyncio.Queue()
        self._timer: asyncio.TimerHandle | None = None
        self._ending: asyncio.Task[int] | None = None
        self._conductor: Conductor | None = None
        self._playing: asyncio.Task[None] | None = None
        self._path = ""
        self._said: Json = {}
        self._error: Json | None = None

    async def start(self) -> None:
        """Have the composer ready, where that is wanted."""
        with suppress(UsageError):
            config = read_config(self.folder)
            self._warm = bool(config.live.get("warm"))
            if self._warm:
                composer = await self._lend()
                wanted = {name: config.score[name] for name in ("model", "precision") if name in config.score}
                composer.order("warm", **wanted)

    async def play(self, path: str, said: Mapping[str, Any]) -> Json:
        """Begin to play a video; return how it stands. Raises `UsageError` where that cannot be."""
        if self._playing is not None:
            raise UsageError(f"{self._path} is being played.", hint="End that first: cmt-bridge stream CLIP --stop.")
        video = self.folder / path
        if not video.exists():
            raise UsageError(f"There is no {path} in {self.folder}.", hint="Name a video in the watched folder.")
        fields = {name: value for name, value in said.items() if name not in ("path", "learn")}
        request = asked(video, fields)
        learned = Learned(state_root() / FILE_NAME, said.get("learn", ()))
        from cmt_bridge.live.conductor import Conductor  # with NumPy, which an idle daemon does without

        self._conductor = Conductor(request, self._tell, lend=self._lend, learned=learned)
        self._path, self._said, self._error = path, {}, None
        self._playing = asyncio.create_task(self._play(self._conductor))
        log.info("%s is played", path)
        return self.state()

    def state(self) -> Json:
        """Return what is played, and how it fares; `playing` is empty where nothing is, `error` then why that ended."""
        if self._conductor is None:
            return {"playing": "", "controls": None, "position": None, "error": self._error}
        position = {name: value for name, value in self._conductor.state.items() if name != "event"}
        return {
            "playing": self._path,
            "controls": self._conductor.controls.to_json(),
            "position": position or None,
            **self._said,
        }

    def control(self, wanted: Mapping[str, Any]) -> Json:
        """Set controls, do what is asked for, or learn; return how the controls stand. Raises `UsageError`."""
        if self._conductor is None:
            raise UsageError("Nothing is played.", hint="Begin: cmt-bridge stream CLIP.")
        values = dict(wanted)
        name = values.pop("learn", None)
        if name is not None:
            self._conductor.learn(name)
        return self._conductor.turn(values)

    async def stop(self) -> None:
        """End the stream, and wait for that."""
        if self._conductor is not None and self._playing is not None:
            self._conductor.stop()
            await asyncio.wait([self._playing])

    async def close(self) -> None:
        """End the stream and the composer."""
        if self._conductor is not None:
            self._conductor.stop()
        self._keep()
        self._let_go()
        ends = [task for task in (self._playing, self._ending) if task is not None]
        if ends:
            await asyncio.wait(ends)

    async def _play(self, conductor: Conductor) -> None:
        error: Json | None = None
        try:
            await conductor.run()
        except Exception as met:
            if not isinstance(met, CmtBridgeError):
                log.exception("The stream of %s ended.", self._path)
            error = known_error(met, hint="See daemon.log.").to_json()
        self._conductor = self._playing = None
        self._error = error
        log.info("%s is not played any more%s", self._path, f": {error['error']}" if error else "")
        if self._composer is not None and not self._warm:
            self._timer = asyncio.get_running_loop().call_later(self._release, self._let_go)
        if self._composer is not None:
            self._composer.redirect(self._idle)
        self._publish({"event": "stream", "stream": {"event": "ended", "path": self._path, "error": error}})

    def _tell(self, message: Json) -> None:
        if message["event"] == "state":
            self._publish({**message, "event": "position"})
            return
        if message["event"] in KEPT:
            self._said[message["event"]] = {name: value for name, value in message.items() if name != "event"}
        self._publish({"event": "stream", "stream": message})

    async def _lend(self) -> ChildProcess:
        """Return the composer, a fresh one where there is none."""
        self._keep()
        if self._composer is None or not self._composer.is_running:
            from cmt_bridge.live.conductor import COMPOSER

            self._composer = await ChildProcess.start("composer", COMPOSER, self._idle)
            log.info("composer %d started", self._composer.pid)
        return self._composer

    def _keep(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _let_go(self) -> None:
        composer, self._composer = self._composer, None
        if composer is not None:
            self._ending = asyncio.create_task(composer.end())
