"""An input that only listens: each message with the time at which it arrived, by the device's own clock."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final, Protocol

from cmt_bridge.errors import MissingError, UsageError
from cmt_bridge.player.connections import named
from cmt_bridge.player.jackport import jack_module, unwrapped
from cmt_bridge.player.midiport import APIS, REMEDIES, lacking, rtmidi_module, system_api
from cmt_bridge.player.timebase import NANOSECONDS

__all__ = ["JackListener", "Listener", "SystemListener", "listen"]

NAME: Final = "cmt-bridge monitor"
INPUT: Final = "in"
MOST: Final = 1 << 16  # messages that wait to be taken; the oldest are lost then

Arrived = tuple[int, bytes]
"""Device time, and a message."""


class Listener(Protocol):
    """An input; `rate` is how many units of device time a second has, `name` what others connect to.

    `missed` is how many times the device did not let it listen, so that what came then is lost, through nobody's fault
    who sent it. `gone` says that the device is there no more.
    """

    rate: int
    name: str
    missed: int
    gone: bool

    @property
    def now(self) -> int:
        """The device time of this moment."""

    def take(self) -> Iterator[Arrived]:
        """Return what arrived since it was asked last."""

    def close(self) -> None:
        """Listen no more."""


def listen(port: str = "", backend: str = "auto") -> Listener:
    """Listen to a port, by its name or a part of it; without one, at an input for others to connect to.

    Raises `MissingError` where the system lacks what is needed, `UsageError` where there is no such port.
    """
    if backend in ("auto", "jack"):
        try:
            return JackListener(port)
        except MissingError:
            if backend == "jack":
                raise
    return SystemListener(port)


class JackListener:
    """An input of JACK: frames of its process callback, which no load of this process makes later."""

    def __init__(self, port: str = "") -> None:
        jack = jack_module()
        try:
            self._client = jack.Client(NAME, no_start_server=True)
        except jack.JackOpenError as error:
            raise MissingError("No JACK server runs.", hint=REMEDIES["jack"]) from error
        self._jack = jack
        self.rate: int = self._client.samplerate
        self.missed = 0
        self.gone = False
        self._waiting: deque[Arrived] = deque(maxlen=MOST)
        self._frame: int | None = None
        self._until: int | None = None
        self._input = self._client.midi_inports.register(INPUT)
        self.name: str = self._input.name
        self._client.set_process_callback(self._process)
        self._client.set_shutdown_callback(self._end)
        self._client.activate()
        if port:
            self._connect(port)

    @property
    def now(self) -> int:
        """The frame time of this moment."""
        return self._unwrapped(self._client.frame_time)

    def take(self) -> Iterator[Arrived]:
        """Yield what arrived since it was asked last."""
        while self._waiting:
            yield self._waiting.popleft()

    def close(self) -> None:
        """Leave JACK."""
        with suppress(self._jack.JackError):
            self._client.deactivate()
        with suppress(self._jack.JackError):
            self._client.close()

    def _connect(self, wanted: str) -> None:
        there = {each.name: each.aliases for each in self._client.get_ports(is_midi=True, is_output=True)}
        found = named(wanted, there)
        if found is None:
            self.close()
            raise _unknown(wanted, list(there))
        self._client.connect(found, self._input)
        self.name = found

    def _unwrapped(self, frame: int) -> int:
        return frame if self._frame is None else unwrapped(frame, self._frame)

    def _process(self, frames: int) -> None:
        self._frame = start = self._unwrapped(self._client.last_frame_time)
        if self._until not in (None, start):
            self.missed += 1
        self._until = start + frames
        for offset, data in self._input.incoming_midi_events():
            self._waiting.append((start + offset, bytes(data)))

    def _end(self, *_: Any) -> None:
        self.gone = True


class SystemListener:
    """An input of the system, by rtmidi, with the time between messages that the system's driver gives."""

    def __init__(self, port: str = "", api: str = "") -> None:
        rtmidi = rtmidi_module()
        api = api or system_api()
        if lack := lacking(api):
            raise MissingError(lack, hint=REMEDIES[api])
        self.rate = NANOSECONDS
        self.missed = 0
        self.gone = False
        self._waiting: deque[Arrived] = deque(maxlen=MOST)
        self._time: int | None = None
        self._input: Any = rtmidi.MidiIn(rtapi=getattr(rtmidi, APIS[api]), name=NAME)
        self._input.ignore_types(sysex=False, timing=False, active_sense=False)
        self._input.set_callback(self._hear)
        try:
            self.name = self._open(port, api)
        except BaseException:
            self._input.delete()
            raise

    @property
    def now(self) -> int:
        """The time of this moment."""
        return time.monotonic_ns()

    def take(self) -> Iterator[Arrived]:
        """Yield what arrived since it was asked last."""
        while self._waiting:
            yield self._waiting.popleft()

    def close(self) -> None:
        """Close the input."""
        with suppress(OSError):
            self._input.close_port()
        self._input.delete()

    def _open(self, wanted: str, api: str) -> str:
        there: list[str] = self._input.get_ports()
        if not wanted and api != "windows":
            self._input.open_virtual_port(INPUT)
            return f"{NAME}:{INPUT}"
        found = named(wanted, dict.fromkeys(there, ())) if wanted else None
        if found is None:
            raise _unknown(wanted, there)
        self._input.open_port(there.index(found), INPUT)
        return found

    def _hear(self, event: Any, _: Any) -> None:
        data, since = event
        now = time.monotonic_ns()
        later = None if self._time is None else self._time + round(since * NANOSECONDS)
        self._time = now if later is None else later
        self._waiting.append((self._time, bytes(data)))


def _unknown(wanted: str, there: list[str]) -> UsageError:
    there = [name for name in there if NAME not in name]
    what = f"There is no port {wanted!r} to listen to." if wanted else "Windows has no ports of our own: name one."
    return UsageError(what, hint=f"There are: {', '.join(there) or 'none'}.")
