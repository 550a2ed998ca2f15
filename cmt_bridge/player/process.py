"""The player's process: lines of JSON in and out, and the device in between.

    in    {"do": "open", …}     as `Order.to_json` gives it; the first line
          {"do": "bar", "bar": n, "notes": [[tick, duration, channel, pitch, velocity], …]}, where a sixth of a note is
          the velocity of its end, and [tick, "b0407f"] any other message
          {"do": "bars", "bars": [[n, notes], …]}   a few at once; a long line would be read at the cost of the music
          {"do": "end", "bars": n or null}
          {"do": "play"} {"do": "stop"} {"do": "locate", "tick": t} {"do": "loop", "bars": [a, b] or null}
          {"do": "mute", "channels": […]} {"do": "panic"} {"do": "close"}
    out   {"event": "ready", "backend", "ports", "rate", "cleared", "missing"}
          {"event": "state", …}      as `Player.state` gives it; ten times a second at most, and only what is new
          {"event": "underrun", "bar"} {"event": "control", "channel", "controller", "value"} {"event": "note", "text"}
          {"event": "cables", "missing"}   ports that were asked for and are not there yet, whenever that changes
          {"event": "gone"}          the server of the ports ended, and so does the player
          {"event": "closed"} {"event": "error", "error", "hint", "code"}

Bars count from 0. When the input ends, or after SIGTERM, every note that sounds is ended first.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NoReturn, Protocol

from cmt_bridge.errors import CmtBridgeError, MissingError, UsageError
from cmt_bridge.ipc.serve import LossyChannel, begin, read_message
from cmt_bridge.player.active_notes import ActiveNotes
from cmt_bridge.player.connections import Cable, Connections
from cmt_bridge.player.order import BY_JACK, CONTROLS, SYNC_IN, SYNC_OUT, Order
from cmt_bridge.player.player import Player
from cmt_bridge.player.sequencer import Entry, prepare

__all__ = ["main"]

LOOK_EVERY = 0.025  # s, between two looks at what is to be told
TELL_EVERY = 0.1  # s, between two states
CABLES_EVERY = 0.5  # s, between two looks at what the ports are connected to
NICENESS = -10  # music goes before all that can wait
SWITCH = 0.0002  # s, after which a thread that computes lets the one that plays go on
MOST_AHEAD = 512  # commands that are not carried out yet; then the reader waits


class Port(Protocol):
    """A device that plays, with our ports on it."""

    player: Player
    changed: threading.Event
    xruns: int
    late: int

    @property
    def ports(self) -> Mapping[str, list[str]]: ...

    def start(self) -> None: ...

    def close(self) -> None: ...

    def play(self) -> None: ...

    def stop(self) -> None: ...

    def locate(self, tick: int) -> None: ...

    def loop(self, bars: tuple[int, int] | None) -> None: ...

    def connections(self) -> dict[str, list[str]]: ...

    def there(self) -> dict[str, dict[str, list[str]]]: ...

    def left(self) -> Iterable[str]: ...

    def connect(self, cables: Iterable[Cable]) -> None: ...


class _Watch(threading.Thread):
    """Tell how it goes, now and then, and see to the cables."""

    def __init__(self, port: Port, channel: LossyChannel, cables: Connections) -> None:
        super().__init__(daemon=True)
        self._port, self._channel, self._cables = port, channel, cables
        self._said: dict[str, Any] = {}
        self._missing = cables.missing
        self.over = threading.Event()

    def run(self) -> None:
        told = looked = time.monotonic()
        while not self.over.wait(LOOK_EVERY):
            self._happenings()
            now = time.monotonic()
            if now - told >= TELL_EVERY:
                told = now
                self._state()
            if now - looked >= CABLES_EVERY and (self._port.changed.is_set() or self._cables.unsettled):
                looked = now
                self.connect()

    def tell(self) -> None:
        """Say all that is new."""
        self._happenings()
        self._state()

    def connect(self) -> None:
        """Connect what is to be connected."""
        port, cables = self._port, self._cables
        port.changed.clear()
        wanted = cables.look(port.there(), port.connections(), port.left())
        if wanted:
            port.connect(wanted)
            cables.look(port.there(), port.connections())
        cables.save()
        if cables.missing != self._missing:
            self._missing = cables.missing
            self._channel.send({"event": "cables", "missing": self._missing})

    def _happenings(self) -> None:
        player, send = self._port.player, self._channel.send
        for bar in _taken(player.missing):
            send({"event": "underrun", "bar": bar})
        for text in _taken(player.notes):
            send({"event": "note", "text": text})
        for channel, controller, value in _taken(player.controls):
            send({"event": "control", "channel": channel, "controller": controller, "value": value})

    def _state(self) -> None:
        state = self._port.player.state()
        state |= {"xruns": self._port.xruns, "late": state["late"] + self._port.late}
        if state != self._said:
            self._said = state
            self._channel.send({"event": "state", **state})


def _taken(waiting: Any) -> Iterable[Any]:
    while waiting:
        yield waiting.popleft()


def _open(order: Order, ledger: ActiveNotes, gone: Any) -> tuple[str, Port]:
    """Return the best device there is, or the one that is wanted."""
    from cmt_bridge.player.jackport import JackPort

    needs_jack = order.follow in BY_JACK or "jack" in order.lead
    if order.backend == "jack" or needs_jack:
        return "jack", JackPort(order, ledger, gone)
    if order.backend == "auto" and not order.api:
        with suppress(MissingError):
            return "jack", JackPort(order, ledger, gone)
    from cmt_bridge.player.midiport import MidiPort

    return "rtmidi", MidiPort(order, ledger, gone)


def _asked(order: Order) -> dict[str, Sequence[str]]:
    """Return what the ports are to be connected to, by their short names."""
    music = order.music
    each = len(music) > 1 and len(order.to) == len(music)
    asked: dict[str, Sequence[str]] = {
        name: order.to[number : number + 1] if each else order.to for number, name in enumerate(music)
    }
    return asked | {SYNC_OUT: order.sync_to, SYNC_IN: order.sources, CONTROLS: order.controls}


def _carry_out(port: Port, line: Mapping[str, Any]) -> None:
    player = port.player
    match line["do"]:
        case "bar":
            _feed(player, line["bar"], line["notes"])
        case "bars":
            for bar, notes in line["bars"]:
                _feed(player, bar, notes)
        case "end":
            player.end(line["bars"])
        case "play":
            port.play()
        case "stop":
            port.stop()
        case "locate":
            port.locate(int(line["tick"]))
        case "loop":
            bars = line["bars"]
            if bars and not 0 <= bars[0] < bars[1]:
                raise UsageError(f"Bars {bars[0]} to {bars[1]} are no loop.", hint="Give a first bar, and a later one.")
            port.loop((int(bars[0]), int(bars[1])) if bars else None)
        case "mute":
            player.mute(frozenset(line["channels"]))
        case "panic":
            player.panic()
        case other:
            raise UsageError(f"A player does not {other}.")


def _feed(player: Player, bar: int, entries: Sequence[Entry]) -> None:
    player.feed([prepare(player.timebase, int(bar), entries)])


class _Ended(Exception):  # noqa: N818
    """SIGTERM came."""


def _terminate(*_: Any) -> NoReturn:
    raise _Ended


def _serve(port: Port, channel: LossyChannel) -> None:
    """Carry out what is asked until it ends."""
    while True:
        try:
            message = read_message()
            if message is None or message["do"] == "close":
                return
            _carry_out(port, message)
        except CmtBridgeError as error:
            channel.send({"event": "error", **error.to_json()})
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            unclear = UsageError(f"A line cannot be understood: {error!r}.")
            channel.send({"event": "error", **unclear.to_json()})
        while port.player.behind > MOST_AHEAD:
            time.sleep(LOOK_EVERY)


def _opened(channel: LossyChannel) -> tuple[Order, ActiveNotes, int, str, Port]:
    """Return the order that comes first, its ledger, how many notes hang there, and the device with its name.

    Raises `CmtBridgeError` where that cannot be.
    """
    try:
        order = Order.from_json(read_message() or {})
        ledger = ActiveNotes(order.ledger)
        cleared = len(ledger.hanging)
        return order, ledger, cleared, *_open(order, ledger, lambda sentence: _leave(channel, sentence))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise UsageError(f"The order cannot be understood: {error!r}.") from error


def main() -> int:
    """Play until the input ends; return the exit code."""
    channel = LossyChannel(begin(niceness=NICENESS))
    sys.setswitchinterval(SWITCH)
    try:
        order, ledger, cleared, backend, port = _opened(channel)
    except CmtBridgeError as error:
        channel.send({"event": "error", **error.to_json()})
        channel.close()
        return error.exit_code
    cables = Connections(_asked(order), order.ledger.with_suffix(".json") if order.ledger is not None else None)
    watch = _Watch(port, channel, cables)
    signal.signal(signal.SIGTERM, _terminate)
    try:
        gc.collect()
        gc.freeze()
        gc.disable()
        port.start()
        watch.connect()
        port.player.clear()  # now that whoever heard the notes that hang is connected
        channel.send(
            {
                "event": "ready",
                "backend": backend,
                "ports": dict(port.ports),
                "rate": port.player.rate,
                "cleared": cleared,
                "missing": cables.missing,
            }
        )
        watch.start()
        _serve(port, channel)
    except _Ended:
        pass
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        watch.over.set()
        port.close()
        watch.tell()
        ledger.close()
        channel.send({"event": "closed"})
        channel.close()
    return 0


def _leave(channel: LossyChannel, sentence: str) -> None:
    """End at once, since nothing can be played any more; the reader waits for a line that may never come."""
    channel.send({"event": "error", **CmtBridgeError(sentence).to_json()} if sentence else {"event": "gone"})
    channel.close()
    os._exit(CmtBridgeError.exit_code if sentence else MissingError.exit_code)
