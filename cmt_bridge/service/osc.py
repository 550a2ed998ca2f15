"""OSC: the control API for what speaks Open Sound Control, over UDP on 127.0.0.1.

A message is /cmt-bridge/VERB; its first argument is always the token, since UDP has no headers and any user of the
machine can send to a port:

    /cmt-bridge/status      TOKEN
    /cmt-bridge/score       TOKEN path
    /cmt-bridge/regenerate  TOKEN path bars [name value]…     names as in POST /v1/regenerate; lists with commas
    /cmt-bridge/accept      TOKEN path [take]                  so too reject, choose; undo and redo take no number
    /cmt-bridge/choose      TOKEN path "step" 1                the next take; -1: the one before
    /cmt-bridge/cancel      TOKEN id
    /cmt-bridge/stream      TOKEN path [name value]…          names as in POST /v1/stream
    /cmt-bridge/stream_control  TOKEN name value…             such as mute.drums 1, density 2.0, loop "5-8", stop 1
    /cmt-bridge/stream_status   TOKEN                         so too stream_stop
    /cmt-bridge/stop        TOKEN
    /cmt-bridge/subscribe   TOKEN                              events are sent from now on to where this came from

The sender is answered /cmt-bridge/reply VERB "ok" JSON, or VERB "error" sentence; those who subscribed get
/cmt-bridge/event JSON with the events of the WebSocket. What is no such message, or has another token, is passed over
without a word: with an answer to everything, two programs could answer each other for ever.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from cmt_bridge.errors import CmtBridgeError, UsageError
from cmt_bridge.service.dispatch import Desk, dispatch, unforeseen
from cmt_bridge.service.instance import HOST
from cmt_bridge.service.openapi import Operation, operations
from cmt_bridge.service.reader import finite

__all__ = ["PREFIX", "OscControl"]

PREFIX: Final = "/cmt-bridge/"
MOST_BYTES = 8192  # of a message, either way
ROOM = 256  # bytes of it that are not JSON
MOST_SAID = 100  # characters of a text where not all of it fits
MOST_MESSAGES = 64  # that wait or are carried out at once
MOST_SUBSCRIBERS = 8
BUNDLE = b"#bundle\0"
BUNDLE_HEAD = 16
TAGS = frozenset("ihfdsTFN")
DAMAGED: Final = object()  # an argument in place of texts that are not valid Unicode

logger = logging.getLogger(__name__)
Address = tuple[str, int]


class OscControl(asyncio.DatagramProtocol):
    """The OSC server of one daemon; `start` and `stop` it in its event loop."""

    def __init__(self, desk: Desk, token: str, port: int) -> None:
        self.port = port
        self._desk = desk
        self._token = token.encode()
        self._transport: asyncio.DatagramTransport | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._telling: asyncio.Task[None] | None = None
        self._subscribers: dict[Address, None] = {}
        self._refused = False

    async def start(self) -> int:
        """Listen, at a free port if it is 0; return the port. Raises `UsageError` where it is taken."""
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(HOST, self.port))
        except (OSError, OverflowError) as error:
            raise UsageError(
                f"Nothing can listen for OSC at port {self.port}: {error}.", hint="Give another port, or 0 for none."
            ) from error
        self._transport = transport
        self.port = transport.get_extra_info("sockname")[1]
        self._telling = asyncio.create_task(self._tell())
        return self.port

    async def stop(self) -> None:
        """Listen no more."""
        tasks = [task for task in (*self._tasks, self._telling) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def datagram_received(self, data: bytes, sender: Address | Any) -> None:
        """Carry out what a datagram asks for."""
        if len(data) > MOST_BYTES or not sender[0].startswith("127."):
            return
        for verb, arguments in _messages(data):
            if len(self._tasks) >= MOST_MESSAGES:
                return
            if not self._knows(arguments):
                continue
            task = asyncio.create_task(self._answer(verb, arguments[1:], sender))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def error_received(self, exc: Exception) -> None:
        """Pass over that somebody who was written to is gone."""

    def _knows(self, arguments: Sequence[Any]) -> bool:
        said = arguments[0] if arguments else ""
        if isinstance(said, str) and hmac.compare_digest(said.encode(errors="replace"), self._token):
            return True
        if not self._refused:
            logger.warning("An OSC message without the right token was passed over; later ones are so without a word.")
            self._refused = True
        return False

    async def _answer(self, verb: str, arguments: Sequence[Any], sender: Address) -> None:
        try:
            if verb == "subscribe":
                self._subscribe(sender)
                self._send(sender, "reply", verb, "ok", "{}")
                return
            if DAMAGED in arguments:
                raise UsageError("A text of the message is not valid Unicode.", hint="Send it in UTF-8.")
            operation = operations().get(verb)
            if operation is None or operation.osc is None:
                known = ", ".join(name for name, each in operations().items() if each.osc is not None)
                raise UsageError(f"There is nothing called {verb[:64]!r}.", hint=f"Known are {known}.")
            answer = await dispatch(self._desk, operation, _asked(operation, arguments))
            self._send(sender, "reply", verb, "ok", _told(answer))
        except CmtBridgeError as error:
            self._send(sender, "reply", verb[:64], "error", str(error))
        except Exception:
            logger.exception("%s failed.", verb)
            self._send(sender, "reply", verb, "error", str(unforeseen()))

    def _subscribe(self, sender: Address) -> None:
        self._subscribers.pop(sender, None)
        self._subscribers[sender] = None
        if len(self._subscribers) > MOST_SUBSCRIBERS:
            del self._subscribers[next(iter(self._subscribers))]

    async def _tell(self) -> None:
        while True:
            with self._desk.events.subscribe() as subscription:
                async for event in subscription:
                    for sender in tuple(self._subscribers):
                        self._send(sender, "event", _told(event))

    def _send(self, to: Address, what: str, *texts: str) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        message = OscMessageBuilder(PREFIX + what)
        for text in texts:
            message.add_arg(text.encode("utf-8", "replace").decode().replace("\0", " "), "s")
        self._transport.sendto(message.build().dgram, to)


def _told(answer: Mapping[str, Any]) -> str:
    """Return JSON that fits in a message: where it does not, without lists and objects, and with the start of texts."""
    text = json.dumps(answer)
    return text if len(text) <= MOST_BYTES - ROOM else json.dumps(_short(answer))


def _short(answer: Mapping[str, Any]) -> dict[str, Any]:
    short: dict[str, Any] = {}
    for key, value in answer.items():
        if key == "job":
            short[key] = _short(value)
        elif isinstance(value, str):
            short[key] = value[:MOST_SAID]
        elif isinstance(value, bool | int | float):
            short[key] = value
    return short


def _messages(data: bytes) -> Iterator[tuple[str, Sequence[Any]]]:
    """Yield verb and arguments of each message of a datagram; what is none gives nothing. Time tags are not heeded."""
    waiting = [data]
    while waiting:
        part = waiting.pop()
        if part.startswith(BUNDLE):
            waiting.extend(reversed(_elements(part)))
        elif part.startswith(PREFIX.encode()) and _is_plain(part):
            try:
                message = OscMessage(part)
            except UnicodeDecodeError:
                yield "", (_first_text(part), DAMAGED)
                continue
            except Exception:  # the parser's own errors are not all of one kind
                continue
            yield message.address.removeprefix(PREFIX), message.params


def _first_text(message: bytes) -> str:
    """Return the first argument of a message that cannot be read as a whole; nothing where that is no text."""
    at = 0
    for _ in ("address", "types"):
        at = (message.find(b"\0", at) // 4 + 1) * 4
    return message[at:].partition(b"\0")[0].decode("ascii", "replace")


def _elements(bundle: bytes) -> list[bytes]:
    elements = []
    at = BUNDLE_HEAD
    while at + 4 <= len(bundle):
        size = int.from_bytes(bundle[at : at + 4], "big")
        at += 4
        elements.append(bundle[at : at + size])
        at += size
    return elements


def _is_plain(message: bytes) -> bool:
    """Return whether a message has arguments of known types only; the parser writes a line to the log for others."""
    end = message.find(b"\0")
    start = (end // 4 + 1) * 4
    tags = message[start : message.find(b"\0", start)] if end > 0 else b""
    return tags[:1] == b"," and TAGS.issuperset(tags[1:].decode("ascii", "replace"))


def _asked(operation: Operation, arguments: Sequence[Any]) -> dict[str, Any]:
    """Return a request out of the arguments after the token. Raises `UsageError` for what is odd about them."""
    names = operation.osc or ()
    if operation.name == "choose" and "step" in arguments[1:2]:
        names = names[:1]  # where the step is named, the take may be left out
    named = arguments[len(names) :]
    keys = named[::2]
    if len(named) % 2 or (named and not operation.osc_pairs) or not all(isinstance(key, str) for key in keys):
        raise UsageError(
            f"{operation.name} has arguments too many.", hint=f"Send token, {', '.join(names) or 'alone'}."
        )
    pairs = [*zip(names, arguments, strict=False), *zip(keys, named[1::2], strict=True)]
    if len(dict(pairs)) != len(pairs):
        raise UsageError(f"{operation.name} says a field twice.", hint="Say it once.")
    return {key: _value(operation, key, value) for key, value in pairs}


def _value(operation: Operation, field: str, value: Any) -> Any:
    """Return the value of a field: OSC has no lists, and many senders know no numbers but 32-bit floats."""
    kind = operation.schema["properties"].get(field, {}).get("type")
    if isinstance(value, float):
        try:
            value = finite(float(f"{value:.6g}"))
        except ValueError:
            raise UsageError(f"{field[:64]} must be a number.", hint="Send one.") from None
    if kind == "array" and isinstance(value, str):
        return [each.strip() for each in value.split(",")]
    if kind == "boolean" and value in (0, 1):
        return bool(value)
    if kind == "string" and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value
