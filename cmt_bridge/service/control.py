"""The control API: HTTP and a WebSocket on 127.0.0.1, for programs of the user who runs the daemon.

Nobody else is let in. Other users of the machine do not know the token. A web page cannot send it, and is refused for
its Origin besides; a name that a page's owner points at 127.0.0.1 is refused for the Host. What is let in still cannot
name a file outside the watched folder, or hold up the daemon: bodies, headers, times, connections and sockets have
their limits. Who has not shown the token yet is a stranger, and takes no room from those who have: strangers have some
seconds to show it, and where there are too many of them the oldest goes.

An error is `{"error": sentence, "hint": sentence, "code": exit code}`, and its status says which door it is of:

    UsageError    400    (404 for what is not there, 403 for a path outside, and HTTP's own 4xx)
    InputError    422
    MissingError  424
    OutputError   507
    unforeseen    500    told in the log, never to the client
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import os
import socket as net
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal, Protocol
from urllib.parse import parse_qsl

from aiohttp import WSCloseCode, web
from aiohttp.web_protocol import RequestHandler

from cmt_bridge.errors import CmtBridgeError, InputError, MissingError, OutputError, UsageError
from cmt_bridge.service.events import Events
from cmt_bridge.service.openapi import Operation, check, document, find, from_text
from cmt_bridge.service.reader import MOST_BYTES, read_object

__all__ = ["Control", "Desk", "Json", "Mark", "carry_out", "unforeseen"]

Json = dict[str, Any]
Mark = Literal["accept", "reject", "choose", "undo", "redo"]

HOST: Final = "127.0.0.1"
MOST_LINE = 1 << 16  # bytes; a path of 4,096 characters, quoted, is up to 49,152
MOST_HEADER = 4096
MOST_HEADERS = 48
MOST_CONNECTIONS = 64  # of those who have shown the token
BACKLOG = 128  # connections that the system lets wait
AT_ONCE = 32  # of them that are taken in at once
ACCEPTING = 8  # turns of the loop, more than asyncio takes to make a connection that it accepted known to the server
MOST_STRANGERS = 4 * AT_ONCE  # so that what one said is read before as many others come that it has to go
STRANGER_PATIENCE = 5.0  # s, to show the token
MOST_SOCKETS = 32
MOST_FIELDS = 16
MOST_SAID = 4096  # bytes of a WebSocket client's message; none is listened to
PATIENCE = 10.0  # s, for a request's headers, for its body, and for a client that reads nothing
LINGERING = 2.0  # s, to let a client that still sends read why it is refused
FAREWELL = 2.0  # s, to answer and to close sockets when the daemon ends
HEARTBEAT = 30.0  # s
PATHS = ("path", "base")
HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Server": "cmt-bridge"}
logger = logging.getLogger(__name__)


class Desk(Protocol):
    """What can be asked of a daemon; its answers are JSON. It raises `CmtBridgeError` for what it cannot do.

    Requests come with their fields checked, and `path` and `base` relative to the folder, with `/`.
    """

    @property
    def folder(self) -> Path:
        """The watched folder."""

    @property
    def events(self) -> Events:
        """What happens."""

    async def status(self) -> Json:
        """Tell how the daemon is."""

    async def jobs(self, state: str | None, limit: int) -> list[Json]:
        """Give the latest jobs, the newest first."""

    async def job(self, number: int) -> Json | None:
        """Give a job, or None where there is none of that number."""

    async def cancel(self, number: int) -> Json | None:
        """End a job, and give it as it is then; None where there is none of that number."""

    async def score(self, request: Json) -> Json:
        """Take on a request to score; give the job."""

    async def regenerate(self, request: Json) -> Json:
        """Take on a request to regenerate; give the job."""

    async def takes(self, path: str) -> Json:
        """Give the takes of a video."""

    async def choose(self, path: str, verb: Mark, take: int | None, step: int) -> Json:
        """Choose or mark a take, the current one where None is said; give the takes of the video.

        To choose, `step` goes so many takes further than that one, or back where it is negative.
        """

    async def diff(self, path: str, a: int, b: int) -> Json:
        """Give in what two takes differ."""

    async def arrangement(self, path: str, take: int | None) -> Json:
        """Give the music of a take, the current one where None is said, note by note."""

    async def export(self, path: str, project: str, take: int | None, start: str | None, rate: str | None) -> Json:
        """Write a project, or what else a session can open, beside a video; give the files.

        `start` is its first timecode, `rate` the frames a second in which it counts; None is as the folder is set.
        """

    async def stream(self, request: Json) -> Json:
        """Begin to play a video; tell how that stands."""

    async def stream_status(self) -> Json:
        """Tell what is played, and how."""

    async def stream_control(self, wanted: Json) -> Json:
        """Set controls of what is played; give how they stand."""

    async def stream_stop(self) -> Json:
        """End what is played; tell how it stands then."""

    async def stop(self) -> None:
        """Begin to end the daemon; returns at once."""


class RefusedError(UsageError):
    """A request is refused with an HTTP status of its own."""

    def __init__(self, status: int, message: str, *, hint: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.headers = headers or {}


def unforeseen() -> CmtBridgeError:
    """Return the error that a client is told of a fault of ours; the log tells more."""
    return CmtBridgeError("Something unforeseen went wrong.", hint="See daemon.log.")


async def carry_out(desk: Desk, operation: Operation, given: Mapping[str, Any]) -> Json:
    """Do what a program asks for, whichever way it came; give the answer.

    Raises `UsageError` where `given` is not as the document says, and what the desk raises.
    """
    check(given, operation.schema, "The request")
    asked = {**given, **{name: _inside(desk.folder, given[name]) for name in PATHS if name in given}}
    match operation.name:
        case "status":
            return await desk.status()
        case "jobs":
            return {"jobs": await desk.jobs(asked.get("state"), asked.get("limit", _usual(operation, "limit")))}
        case "job":
            return _there(await desk.job(asked["id"]), asked["id"])
        case "cancel":
            return _there(await desk.cancel(asked["id"]), asked["id"])
        case "score":
            return await desk.score(asked)
        case "regenerate":
            return await desk.regenerate(asked)
        case "takes":
            return await desk.takes(asked["path"])
        case "accept" | "reject" | "choose" | "undo" | "redo" as verb:
            return await desk.choose(asked["path"], verb, asked.get("take"), asked.get("step", 0))
        case "diff":
            return await desk.diff(asked["path"], asked["a"], asked["b"])
        case "arrangement":
            return await desk.arrangement(asked["path"], asked.get("take"))
        case "export":
            said = (asked.get(name) for name in ("take", "start", "rate"))
            return await desk.export(asked["path"], asked["project"], *said)
        case "stream":
            return await desk.stream(asked)
        case "stream_status":
            return await desk.stream_status()
        case "stream_control":
            return await desk.stream_control(asked)
        case "stream_stop":
            return await desk.stream_stop()
        case "stop":
            await desk.stop()
            return {"stopping": True}
        case _:
            return dict(document())


def _usual(operation: Operation, field: str) -> Any:
    return operation.schema["properties"][field]["default"]


def _there(job: Json | None, number: int) -> Json:
    if job is None:
        raise RefusedError(404, f"There is no job {number}.", hint="List the jobs to see their numbers.")
    return job


def _inside(folder: Path, said: str) -> str:
    """Give a path relative to the folder, with `/`; a link keeps its own name, and must not lead out either."""
    root = os.path.realpath(folder)
    parent, name = os.path.split(os.path.normpath(os.path.join(root, said)))  # noqa: PTH118  (keeps odd names as said)
    there = Path(os.path.realpath(parent), name)
    if there.is_relative_to(root) and Path(os.path.realpath(there)).is_relative_to(root):
        return there.relative_to(root).as_posix()
    raise RefusedError(403, f"{said} is not in {root}.", hint="Give a path in the watched folder.")


class Control:
    """The server of one daemon.

    >>> control = Control(desk, token)
    >>> port = await control.start()
    >>> await control.stop()
    """

    def __init__(self, desk: Desk, token: str, port: int = 0) -> None:
        self.port = port
        self._desk = desk
        self._token = token.encode()
        self._sockets: set[web.WebSocketResponse] = set()
        self._runner: web.ServerRunner | None = None
        self._listening: net.socket | None = None
        self._ending = False

    async def start(self) -> int:
        """Listen, at a free port where none was given; give the port. Raises `UsageError` where it is taken."""
        server = _Server(
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
        self._runner = web.ServerRunner(server, shutdown_timeout=FAREWELL)
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
        self._ending = True
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
        await asyncio.gather(*(_close(socket, WSCloseCode.GOING_AWAY) for socket in self._sockets))
        await self._runner.cleanup()
        self._runner = None

    def _request(self, message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
        loop = asyncio.get_running_loop()
        return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=MOST_BYTES)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            self._admit(request)
            operation, said = _route(request)
            if operation.name == "events":
                return await self._stream(request)
            asked = {field: from_text(operation, field, text) for field, text in said.items()}
            asked |= await _body(request, operation)
            return _response(operation.status, await carry_out(self._desk, operation, asked))
        except CmtBridgeError as error:
            return _refusal(error)
        except web.HTTPRequestEntityTooLarge:
            return _refusal(
                RefusedError(413, f"The body is longer than {MOST_BYTES} bytes.", hint="Ask for less at once.")
            )
        except web.RequestPayloadError:
            return _refusal(UsageError("The body is damaged.", hint="Send it again."))
        except ConnectionError:
            raise
        except Exception:
            logger.exception("%s failed.", request.method)
            return _refusal(unforeseen())

    def _admit(self, request: web.BaseRequest) -> None:
        """Raise `RefusedError` for whoever may not ask."""
        here = {f"{name}:{self.port}" for name in (HOST, "localhost", "[::1]")}
        hosts = request.headers.getall("Host", [])
        if len(hosts) != 1 or hosts[0].lower() not in here or not request.raw_path.startswith("/"):
            raise RefusedError(421, "The Host header does not name this server.", hint=f"Ask {HOST}:{self.port}.")
        if any(
            origin.lower() not in {f"http://{host}" for host in here} for origin in request.headers.getall("Origin", [])
        ):
            raise RefusedError(403, "Web pages are not let in.", hint="Use a program, without an Origin header.")
        said = request.headers.getall("Authorization", [])
        scheme, _, token = said[0].partition(" ") if len(said) == 1 else ("", "", "")
        if scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(errors="replace"), self._token):
            raise RefusedError(
                401,
                "The token is missing or wrong.",
                hint="Send Authorization: Bearer and what is in the file `token` of the daemon's state folder.",
                headers={"WWW-Authenticate": 'Bearer realm="cmt-bridge"'},
            )
        if isinstance(request.protocol, _Connection) and not request.protocol.trust():
            raise RefusedError(503, "There are as many connections open as there may be.", hint="Close one.")

    async def _stream(self, request: web.BaseRequest) -> web.StreamResponse:
        """Send what happens until either side has enough."""
        socket = web.WebSocketResponse(
            timeout=FAREWELL, heartbeat=HEARTBEAT, compress=False, max_msg_size=MOST_SAID, autoclose=True
        )
        if len(self._sockets) >= MOST_SOCKETS or self._ending:
            raise RefusedError(503, "There are as many sockets open as there may be.", hint="Close one.")
        socket.headers.update(HEADERS)
        with self._desk.events.subscribe() as subscription:
            status = await self._desk.status()
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


class _Server(web.Server):
    """Makes a `_Connection` of every connection, and knows which of them are strangers, the oldest first."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.strangers: dict[_Connection, None] = {}
        self.trusted: set[_Connection] = set()

    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Connection(RequestHandler):
    """A connection that goes where it shows no token in time, and that is told in JSON when it speaks no HTTP."""

    __slots__ = ("_deadline", "_server")

    def __init__(self, server: _Server, **options: Any) -> None:
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
        """Note that the token was shown; tell whether there is room for one more who has."""
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
            response = _refusal(unforeseen())
        else:
            response = _refusal(
                UsageError("The request is no valid HTTP.", hint="GET /v1/openapi.json says what there is.")
            )
        response.force_close()
        return response


def _route(request: web.BaseRequest) -> tuple[Operation, Mapping[str, str]]:
    """Give the operation and what path and query say. Raises `RefusedError` and `UsageError`."""
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
    """Give the fields of the body. Raises `RefusedError` and `UsageError`, and what aiohttp does for a damaged one."""
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


def _status(error: CmtBridgeError) -> int:
    match error:
        case RefusedError():
            return error.status
        case UsageError():
            return 400
        case InputError():
            return 422
        case MissingError():
            return 424
        case OutputError():
            return 507
        case _:
            return 500


def _refusal(error: CmtBridgeError) -> web.Response:
    response = _response(_status(error), error.to_json())
    if isinstance(error, RefusedError):
        response.headers.update(error.headers)
    return response


def _response(status: int, data: Any) -> web.Response:
    """Give JSON in ASCII, so that a name on disk that is no UTF-8 can be told too."""
    body = json.dumps(data, allow_nan=False).encode("ascii")
    return web.Response(status=status, body=body, content_type="application/json", headers=HEADERS)
