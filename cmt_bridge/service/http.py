"""The control API: HTTP and a WebSocket on 127.0.0.1, for programs of the user who runs the daemon.

Who is let in is said in `cmt_bridge.service.access`. What is let in still cannot name a file outside the watched
folder, or hold up the daemon: bodies, headers, times, connections and sockets have their limits.

An error is `{"error": sentence, "hint": sentence, "code": exit code}`, and its status says which door it is of:

    UsageError    400    (404 for what is not there, 403 for a path outside, and HTTP's own 4xx)
    InputError    422
    MissingError  424
    OutputError   507
    unforeseen    500    told in the log, never to the client
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket as net
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from cmt_bridge.errors import CmtBridgeError, UsageError
from cmt_bridge.service.access import AT_ONCE, Connections, admit
from cmt_bridge.service.dispatch import Desk, Json, RefusedError, dispatch, unforeseen
from cmt_bridge.service.instance import HOST
from cmt_bridge.service.openapi import Operation, find, from_text
from cmt_bridge.service.reader import MOST_BYTES, read_object
from cmt_bridge.service.responses import json_response, refusal
from cmt_bridge.service.ws import FAREWELL, EventSockets

__all__ = ["HttpServer"]

MOST_LINE = 1 << 16  # bytes; a path of 4,096 characters, quoted, is up to 49,152
MOST_HEADER = 4096
MOST_HEADERS = 48
BACKLOG = 128  # connections that the system lets wait
ACCEPTING = 8  # turns of the loop, more than asyncio takes to make a connection that it accepted known to the server
MOST_FIELDS = 16
PATIENCE = 10.0  # s, for a request's headers and for its body
LINGERING = 2.0  # s, to let a client that still sends read why it is refused

logger = logging.getLogger(__name__)


class HttpServer:
    """The server of one daemon.

    >>> server = HttpServer(desk, token)
    >>> port = await server.start()
    >>> await server.stop()
    """

    def __init__(self, desk: Desk, token: str, port: int = 0) -> None:
        self.port = port
        self._desk = desk
        self._token = token.encode()
        self._sockets = EventSockets(desk)
        self._runner: web.ServerRunner | None = None
        self._listening: net.socket | None = None

    async def start(self) -> int:
        """Listen, at a free port where none was given; return the port. Raises `UsageError` where it is taken."""
        connections = Connections(
            self._answer,
            request_factory=self._request,
            access_log=None,
            keepalive_timeout=PATIENCE,
            lingering_time=LINGERING,
            max_line_size=MOST_LINE,
            max_field_size=MOST_HEADER,
            max_headers=MOST_HEADERS,
            auto_decompress=False,
        )
        self._runner = web.ServerRunner(connections, shutdown_timeout=FAREWELL)
        await self._runner.setup()
        listening = net.socket()
        try:
            if os.name == "posix":
                listening.setsockopt(net.SOL_SOCKET, net.SO_REUSEADDR, 1)
            listening.bind((HOST, self.port))
            await web.SockSite(self._runner, listening, backlog=AT_ONCE).start()
            listening.listen(BACKLOG)
        except (OSError, OverflowError) as error:
            await self._runner.cleanup()
            listening.close()
            raise UsageError(
                f"Nothing can listen at port {self.port}: {error}.", hint="Give another port, or 0 for a free one."
            ) from error
        self._listening = listening
        self.port = listening.getsockname()[1]
        return self.port

    async def stop(self) -> None:
        """Listen no more: let requests end that are under way, close sockets with 1001. Takes seconds at most."""
        if self._runner is None:
            return
        if self._listening is not None:
            # A server that is closed while asyncio takes in a connection leaves that one open.
            with suppress(NotImplementedError):
                asyncio.get_running_loop().remove_reader(self._listening)
            for _ in range(ACCEPTING):
                await asyncio.sleep(0)
        for site in self._runner.sites:
            await site.stop()
        await self._sockets.close()
        await self._runner.cleanup()
        self._runner = None

    def _request(self, message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
        loop = asyncio.get_running_loop()
        return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=MOST_BYTES)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            admit(request, self._token, self.port)
            operation, said = _route(request)
            if operation.name == "events":
                return await self._sockets.serve(request)
            asked = {field: from_text(operation, field, text) for field, text in said.items()}
            asked |= await _body(request, operation)
            return json_response(operation.status, await dispatch(self._desk, operation, asked))
        except CmtBridgeError as error:
            return refusal(error)
        except web.HTTPRequestEntityTooLarge:
            return refusal(
                RefusedError(413, f"The body is longer than {MOST_BYTES} bytes.", hint="Ask for less at once.")
            )
        except web.RequestPayloadError:
            return refusal(UsageError("The body is damaged.", hint="Send it again."))
        except ConnectionError:
            raise
        except Exception:
            logger.exception("%s failed.", request.method)
            return refusal(unforeseen())


def _route(request: web.BaseRequest) -> tuple[Operation, Mapping[str, str]]:
    """Return the operation and what path and query say. Raises `RefusedError` and `UsageError`."""
    path, _, query = request.raw_path.partition("?")
    there, said = find(path)
    if not there:
        raise RefusedError(404, "There is nothing of this path.", hint="GET /v1/openapi.json says what there is.")
    operation = there.get(request.method)
    if operation is None:
        allowed = ", ".join(there)
        raise RefusedError(405, "This is not done by this method.", hint=f"Use {allowed}.", headers={"Allow": allowed})
    try:
        fields = parse_qsl(
            query, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=MOST_FIELDS
        )
    except ValueError:
        raise UsageError("The query cannot be read.", hint="Write ?name=value&name=value, quoted as UTF-8.") from None
    for field, _ in fields:
        if field not in operation.query:
            raise UsageError(f"The query has no field {field[:64]!r}.", hint=f"Known are {_listed(operation.query)}.")
    if len(dict(fields)) != len(fields):
        raise UsageError("The query says a field twice.", hint="Say it once.")
    return operation, {**dict(fields), **said}


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names)) or "none"


async def _body(request: web.BaseRequest, operation: Operation) -> Json:
    """Return the fields of the body. Raises `RefusedError`, `UsageError`, and what aiohttp does for a damaged one."""
    if not request.body_exists and operation.body is None:
        return {}
    encoded = request.headers.get("Content-Encoding", "identity").lower() != "identity"
    if request.content_type != "application/json" or (request.charset or "utf-8").lower() != "utf-8" or encoded:
        raise RefusedError(415, "The body is not JSON.", hint="Send it as application/json, in UTF-8, not compressed.")
    if (request.content_length or 0) > MOST_BYTES:
        raise web.HTTPRequestEntityTooLarge(MOST_BYTES)
    try:
        async with asyncio.timeout(PATIENCE):
            data = read_object(await request.read(), "The body")
    except TimeoutError:
        raise RefusedError(408, "The body took too long.", hint="Send it at once.") from None
    for field in data:
        if field not in (operation.body or ()):
            known = _listed(operation.body or frozenset())
            raise UsageError(f"The body has no field {field[:64]!r}.", hint=f"Known are {known}.")
    return data
