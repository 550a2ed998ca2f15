"""The WebSocket of the control API: what happens, sent to each client that connects."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from aiohttp import WSCloseCode, web

from cmt_bridge.service.dispatch import Desk, RefusedError
from cmt_bridge.service.responses import HEADERS

__all__ = ["FAREWELL", "MOST_SOCKETS", "EventSockets"]

MOST_SOCKETS = 32
MOST_SAID = 4096  # bytes of a client's message; none is listened to
PATIENCE = 10.0  # s, for a client that reads nothing
FAREWELL = 2.0  # s, to close a socket
HEARTBEAT = 30.0  # s


class EventSockets:
    """The sockets that are open; `len` is how many."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._sockets: set[web.WebSocketResponse] = set()
        self._ending = False

    def __len__(self) -> int:
        return len(self._sockets)

    async def close(self) -> None:
        """Close all with 1001, and open no more."""
        self._ending = True
        await asyncio.gather(*(_close(socket, WSCloseCode.GOING_AWAY) for socket in self._sockets))

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Send what happens until either side has enough.

        Raises `RefusedError` where there is no room, or the client asks for no WebSocket.
        """
        socket = web.WebSocketResponse(
            timeout=FAREWELL, heartbeat=HEARTBEAT, compress=False, max_msg_size=MOST_SAID, autoclose=True
        )
        if len(self._sockets) >= MOST_SOCKETS or self._ending:
            raise RefusedError(503, "There are as many sockets open as there may be.", hint="Close one.")
        socket.headers.update(HEADERS)
        with self._desk.events.subscribe() as subscription:
            status = await self._desk.handle("status", {})
            try:
                await socket.prepare(request)
            except web.HTTPException:
                raise RefusedError(
                    426, "This is for a WebSocket.", hint="Connect to it with one.", headers={"Upgrade": "websocket"}
                ) from None
            self._sockets.add(socket)
            hearing = asyncio.create_task(_ignore(socket))
            telling = asyncio.create_task(_tell(socket, {"event": "status", "status": status}, subscription))
            try:
                await asyncio.wait((hearing, telling), return_when=asyncio.FIRST_COMPLETED)
                await _close(socket, WSCloseCode.TRY_AGAIN_LATER if telling.done() else WSCloseCode.OK)
            finally:
                self._sockets.discard(socket)
                hearing.cancel()
                telling.cancel()
                await asyncio.gather(hearing, telling, return_exceptions=True)
        return socket


async def _tell(socket: web.WebSocketResponse, first: Mapping[str, Any], rest: Any) -> None:
    await _send(socket, first)
    async for event in rest:
        await _send(socket, event)


async def _send(socket: web.WebSocketResponse, event: Mapping[str, Any]) -> None:
    async with asyncio.timeout(PATIENCE):
        await socket.send_str(json.dumps(event))


async def _ignore(socket: web.WebSocketResponse) -> None:
    async for _ in socket:
        pass


async def _close(socket: web.WebSocketResponse, code: WSCloseCode) -> None:
    """Close a socket, whether or not its client listens."""
    with suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(FAREWELL):
            await socket.close(code=code)
