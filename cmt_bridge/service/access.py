"""Access: who may ask a daemon over HTTP, and how many connections there may be.

Nobody but programs of the user is let in. Other users of the machine do not know the token. A web page cannot send it,
and is refused for its Origin besides; a name that a page's owner points at 127.0.0.1 is refused for the Host. Who has
not shown the token yet is a stranger, and takes no room from those who have: strangers have some seconds to show it,
and where there are too many of them the oldest goes.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from cmt_bridge.errors import UsageError
from cmt_bridge.service.dispatch import RefusedError, unforeseen
from cmt_bridge.service.instance import HOST
from cmt_bridge.service.responses import refusal

__all__ = ["AT_ONCE", "MOST_CONNECTIONS", "MOST_STRANGERS", "Connection", "Connections", "admit"]

MOST_CONNECTIONS = 64  # of those who have shown the token
AT_ONCE = 32  # connections that are taken in at once
MOST_STRANGERS = 4 * AT_ONCE  # so that what one said is read before as many others come that it has to go
STRANGER_PATIENCE = 5.0  # s, to show the token

logger = logging.getLogger(__name__)


def admit(request: web.BaseRequest, token: bytes, port: int) -> None:
    """Raise `RefusedError` for whoever may not ask the server that listens at a port and knows a token."""
    here = {f"{name}:{port}" for name in (HOST, "localhost", "[::1]")}
    hosts = request.headers.getall("Host", [])
    if len(hosts) != 1 or hosts[0].lower() not in here or not request.raw_path.startswith("/"):
        raise RefusedError(421, "The Host header does not name this server.", hint=f"Ask {HOST}:{port}.")
    if any(
        origin.lower() not in {f"http://{host}" for host in here} for origin in request.headers.getall("Origin", [])
    ):
        raise RefusedError(403, "Web pages are not let in.", hint="Use a program, without an Origin header.")
    said = request.headers.getall("Authorization", [])
    scheme, _, shown = said[0].partition(" ") if len(said) == 1 else ("", "", "")
    if scheme.lower() != "bearer" or not hmac.compare_digest(shown.strip().encode(errors="replace"), token):
        raise RefusedError(
            401,
            "The token is missing or wrong.",
            hint="Send Authorization: Bearer and what is in the file `token` of the daemon's state folder.",
            headers={"WWW-Authenticate": 'Bearer realm="cmt-bridge"'},
        )
    if isinstance(request.protocol, Connection) and not request.protocol.trust():
        raise RefusedError(503, "There are as many connections open as there may be.", hint="Close one.")


class Connections(web.Server):
    """Makes a `Connection` of every connection, and knows which of them are strangers, the oldest first."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.strangers: dict[Connection, None] = {}
        self.trusted: set[Connection] = set()

    def __call__(self) -> RequestHandler:
        return Connection(self, loop=self._loop, **self._kwargs)


class Connection(RequestHandler):
    """A connection that goes where it shows no token in time, and that is told in JSON when it speaks no HTTP."""

    __slots__ = ("_deadline", "_server")

    def __init__(self, server: Connections, **options: Any) -> None:
        super().__init__(server, **options)
        self._server = server
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin as a stranger, at the cost of the oldest where there are too many."""
        super().connection_made(transport)
        self._server.strangers[self] = None
        self._deadline = self._loop.call_later(STRANGER_PATIENCE, self._drop)
        if len(self._server.strangers) > MOST_STRANGERS:
            next(iter(self._server.strangers))._drop()

    def connection_lost(self, exc: BaseException | None) -> None:
        """End."""
        self._forget()
        self._server.trusted.discard(self)
        super().connection_lost(exc)

    def trust(self) -> bool:
        """Note that the token was shown; return whether there is room for one more who has."""
        if self not in self._server.trusted:
            if len(self._server.trusted) >= MOST_CONNECTIONS:
                return False
            self._forget()
            self._server.trusted.add(self)
        return True

    def _forget(self) -> None:
        """Count as a stranger no more."""
        self._server.strangers.pop(self, None)
        if self._deadline is not None:
            self._deadline.cancel()

    def _drop(self) -> None:
        """Break off, whether or not what was answered is read."""
        self._forget()
        transport = self.transport
        self.force_close()
        if isinstance(transport, asyncio.Transport):
            transport.abort()

    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  (it repeats what was sent)
    ) -> web.StreamResponse:
        """Answer what is no HTTP, without a line in the log for it."""
        if status >= 500:
            logger.error("A request failed.", exc_info=exc)
            response = refusal(unforeseen())
        else:
            response = refusal(
                UsageError("The request is no valid HTTP.", hint="GET /v1/openapi.json says what there is.")
            )
        response.force_close()
        return response
