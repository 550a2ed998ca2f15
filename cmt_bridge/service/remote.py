"""A stream that a daemon plays, as a program of the same user follows and controls it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any

from cmt_bridge.errors import CmtBridgeError
from cmt_bridge.live.conductor import Tell, tick_heard
from cmt_bridge.live.controls import Controls
from cmt_bridge.service.client import GOING_AWAY, MOST_RETRIES, Client

__all__ = ["RemoteStream"]


class RemoteStream:
    """Begin a stream at a daemon, and be told as a conductor tells. `said` are the fields of POST /v1/stream."""

    def __init__(self, client: Client, said: Mapping[str, Any], tell: Tell) -> None:
        self.controls = Controls()
        self.state: dict[str, Any] = {}
        self._client = client
        self._said = said
        self._tell = tell
        self._heard_at = 0.0
        self._orders: asyncio.Queue[tuple[str, Mapping[str, Any]]] = asyncio.Queue()

    @property
    def position(self) -> float:
        """The tick that is heard at the moment, as far as that can be known."""
        return tick_heard(self.state, self._heard_at)

    def turn(self, wanted: Mapping[str, Any]) -> Any:
        """Ask for controls to be set."""
        self._orders.put_nowait(("stream_control", wanted))

    def stop(self) -> None:
        """Ask for the end."""
        self._orders.put_nowait(("stream_stop", {}))

    async def run(self) -> None:
        """Follow it to its end. Raises the error that ended it, and `CmtBridgeError` where the daemon ends before."""
        import aiohttp

        asking = asyncio.create_task(self._ask())
        begun = False
        try:
            async with aiohttp.ClientSession(trust_env=False) as session:
                for _ in range(MOST_RETRIES):
                    async with self._client.events(session) as socket:
                        await socket.receive_json()
                        if not begun:
                            self._begin(await asyncio.to_thread(self._client.ask, "stream", self._said))
                            begun = True
                        elif not (await asyncio.to_thread(self._client.ask, "stream_status"))["playing"]:
                            return
                        if await self._hear(socket):
                            return
                        if socket.close_code == GOING_AWAY:
                            break
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._lost() from error
        finally:
            asking.cancel()
        raise self._lost()

    def _begin(self, stream: Mapping[str, Any]) -> None:
        self.controls = Controls.from_json(stream["controls"])

    async def _hear(self, socket: Any) -> bool:
        """Take in what happens; return whether the stream has ended rather than the socket."""
        async for message in socket:
            event = json.loads(message.data)
            if event["event"] == "position":
                self.state, self._heard_at = {**event, "event": "state"}, time.monotonic()
                self._tell(self.state)
            elif event["event"] == "stream":
                said = event["stream"]
                if said["event"] == "controls":
                    self.controls = Controls.from_json(said)
                if said["event"] == "ended":
                    if said["error"] is not None:
                        raise CmtBridgeError.from_json(said["error"])
                    return True
                self._tell(said)
        return False

    async def _ask(self) -> None:
        """Ask for one thing after the other."""
        while True:
            operation, fields = await self._orders.get()
            try:
                await asyncio.to_thread(self._client.ask, operation, fields)
            except CmtBridgeError as error:
                self._tell({"event": "note", "text": str(error)})

    def _lost(self) -> CmtBridgeError:
        folder = self._client.instance.folder
        return CmtBridgeError(
            f"The daemon that watches {folder} ended, and the stream with it.",
            hint=f"Start it again: cmt-bridge daemon start {folder}.",
        )
