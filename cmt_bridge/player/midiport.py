"""The ports of the system, by rtmidi: the player in a thread that meets absolute deadlines.

Device time is the monotonic clock in nanoseconds. What is due is looked up some milliseconds early, so that the thread
has nothing left to do at a deadline but to send.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from cmt_bridge.errors import MissingError, OutputError, UsageError
from cmt_bridge.player.active_notes import ActiveNotes
from cmt_bridge.player.connections import Cable, named
from cmt_bridge.player.order import BY_MIDI, CONTROLS, MUSIC, SYNC_IN, SYNC_OUT, Order
from cmt_bridge.player.player import SYNC, Player, Sent
from cmt_bridge.player.timebase import NANOSECONDS

__all__ = ["APIS", "REMEDIES", "MidiPort", "lacking", "rtmidi_module", "system_api"]

APIS: Final[Mapping[str, str]] = {
    "alsa": "API_LINUX_ALSA",
    "coremidi": "API_MACOSX_CORE",
    "windows": "API_WINDOWS_MM",
    "jack": "API_UNIX_JACK",
}
"""Our names of the systems that rtmidi speaks to, and its own."""

REMEDIES: Final[Mapping[str, str]] = {
    "alsa": "Load it with `sudo modprobe snd-seq`, or start JACK or PipeWire.",
    "coremidi": "Restart the MIDI server: killall MIDIServer.",
    "windows": "Make a loopback port with loopMIDI or Windows MIDI Services, and name it with --to.",
    "jack": "Start QjackCtl, jackd or PipeWire's JACK.",
}
"""What to do where one of them cannot be used."""

SEQUENCER: Final = Path("/dev/snd/seq")
AHEAD: Final = 5_000_000  # ns, by which what is due is looked up early
EARLY: Final = 1_500_000  # ns before the end of one stretch at which the next is looked up
SPIN: Final = 300_000  # ns before a deadline that are not slept
NAP: Final = 0.002  # s, at most without a look at what came in, where a sleep cannot be ended
PRIORITY: Final = 50  # below what systems give to their own sound
SETTLING: Final = 0.05  # s, for a driver to pass on the last messages before its port is closed
PATIENCE: Final = 2.0  # s


def rtmidi_module() -> Any:
    """Return the package that speaks to the system's ports.

    Raises `MissingError` where it is not installed, as by default on Python 3.13 and newer, or lacks a library.
    """
    try:
        import rtmidi
    except ModuleNotFoundError as error:
        raise MissingError(
            "The ports of the system cannot be used: python-rtmidi is not installed.",
            hint="Play by JACK, or pip install python-rtmidi: newer Pythons build it (apt install g++ libasound2-dev).",
        ) from error
    except (ImportError, OSError) as error:
        raise MissingError(
            f"The ports of the system cannot be used: {error}.", hint="Debian, Ubuntu: apt install libasound2."
        ) from error
    return rtmidi


def system_api(platform: str = sys.platform) -> str:
    """Return our name of an operating system's own interface."""
    return {"darwin": "coremidi", "win32": "windows"}.get(platform, "alsa")


def lacking(api: str) -> str:
    """Say in a sentence why an interface cannot be used, as far as can be told without trying; empty where it can."""
    rtmidi = rtmidi_module()
    if getattr(rtmidi, APIS[api]) not in rtmidi.get_compiled_api():
        return f"This build of python-rtmidi does not speak to {api}."
    if api == "alsa" and not SEQUENCER.exists():
        return "There is no ALSA sequencer."
    return ""


class MidiPort:
    """Ports of the system that play. Raises `MissingError` where it has none, `UsageError` for a port not there.

    `gone` is called where a port that played is there no more.
    """

    def __init__(self, order: Order, ledger: ActiveNotes, gone: Callable[[str], None]) -> None:
        self._rtmidi = rtmidi_module()
        self.order = order
        self.xruns = 0
        self.late = 0
        self.changed = threading.Event()
        """Never set: rtmidi does not tell who comes and goes."""
        self._gone = gone
        self._api = order.api or system_api()
        if self._api not in APIS:
            raise UsageError(f"There is no interface {self._api!r}.", hint=f"Choose from {', '.join(APIS)}.")
        if lack := lacking(self._api):
            raise MissingError(lack, hint=REMEDIES[self._api])
        names = order.music
        if len(order.to) not in (0, 1, len(names)):
            raise UsageError("A port of the system leads to one other only.", hint="Name one port.")
        self.player = Player(order, NANOSECONDS, ledger)
        self._wake = threading.Event()
        self.player.wake = self._wake.set
        self._heard: deque[tuple[int, bytes]] = deque()
        self._over = False
        self._found: dict[str, list[str]] = {}
        self._music = [
            self._output(MUSIC, name, order.to[number : number + 1] or order.to[:1])
            for number, name in enumerate(names)
        ]
        self._outputs = dict(enumerate(self._music))
        if order.lead:
            self._outputs[SYNC] = self._output(SYNC_OUT, SYNC_OUT, order.sync_to[:1])
        self._inputs: list[Any] = []
        if order.follow in BY_MIDI:
            self._inputs.append(self._input(SYNC_IN, order.sources[:1], self._hear))
        if self._virtual or order.controls:
            self._inputs.append(self._input(CONTROLS, order.controls[:1], self._control))
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)

    @property
    def _virtual(self) -> bool:
        """Whether the system lets programs make ports of their own."""
        return self._api != "windows"

    @property
    def ports(self) -> Mapping[str, list[str]]:
        """The names of our ports, or of those that they are opened to, by what they are for."""
        return self._found

    def start(self) -> None:
        """Begin to play."""
        self._thread.start()

    def close(self) -> None:
        """End what sounds and close the ports."""
        self.player.close()
        sent = self.player.closed.wait(PATIENCE)
        self._over = True
        self._wake.set()
        self._thread.join(PATIENCE)
        if sent and not self._thread.is_alive():
            time.sleep(SETTLING)
            self.player.settle()
        for port in (*self._inputs, *self._outputs.values()):
            with suppress(OSError):
                port.close_port()
            port.delete()

    def play(self) -> None:
        """Roll."""
        self.player.play()

    def stop(self) -> None:
        """Stand."""
        self.player.stop()

    def locate(self, tick: int) -> None:
        """Go to a tick."""
        self.player.locate(tick)

    def loop(self, bars: tuple[int, int] | None) -> None:
        """Repeat some bars."""
        self.player.loop(bars)

    def connections(self) -> dict[str, list[str]]:
        """Return nothing: rtmidi does not tell who listens."""
        return {}

    def there(self) -> dict[str, dict[str, list[str]]]:
        """Return nothing: a port is opened to what it is connected to, and to nothing else."""
        return {}

    def left(self) -> list[str]:
        """Return nothing, as above."""
        return []

    def connect(self, cables: Iterable[Cable]) -> None:
        """Do nothing: a port is opened to what it is connected to, and to nothing else."""

    # Opening

    def _output(self, use: str, name: str, to: Sequence[str]) -> Any:
        return self._open("MidiOut", use, name, to)

    def _input(self, name: str, sources: Sequence[str], hear: Callable[[Any, Any], None]) -> Any:
        port = self._open("MidiIn", name, name, sources)
        port.ignore_types(sysex=False, timing=False, active_sense=True)
        port.set_callback(hear)
        return port

    def _open(self, kind: str, use: str, name: str, wanted: Sequence[str]) -> Any:
        """Open a port of our own, or one to the port of somebody else that is named."""
        client = f"{self.order.name} {name}"
        api = getattr(self._rtmidi, APIS[self._api])
        try:
            port = getattr(self._rtmidi, kind)(rtapi=api, name=client)
        except OSError as error:  # what rtmidi raises is one
            raise MissingError(f"The ports of {self._api} cannot be used: {error}", hint=REMEDIES[self._api]) from error
        if not wanted and not self._virtual:
            raise UsageError("Windows has no virtual ports.", hint=REMEDIES[self._api])
        try:
            if wanted:
                full = self._choose(port.get_ports(), wanted[0])
                port.open_port(port.get_ports().index(full), name)
            else:
                port.open_virtual_port(client if self._api == "coremidi" else name)  # where only that name is shown
                full = client if self._api == "coremidi" else f"{client}:{name}"
        except OSError as error:
            raise OutputError(f"The port {name} cannot be opened: {error}", hint="Close what else uses it.") from error
        self._found.setdefault(use, []).append(full)
        return port

    @staticmethod
    def _choose(there: Sequence[str], wanted: str) -> str:
        """Return the port that has a name, or the first that has it in its name."""
        found = named(wanted, dict.fromkeys(there, ()))
        if found is None:
            raise UsageError(f"There is no port {wanted!r}.", hint=f"There are: {', '.join(there) or 'none'}.")
        return found

    # In rtmidi's threads

    def _hear(self, event: Any, _: Any) -> None:
        self._heard.append((time.monotonic_ns(), bytes(event[0])))
        self._wake.set()

    def _control(self, event: Any, _: Any) -> None:
        self.player.control(bytes(event[0]))

    # The thread that sends

    def _run(self) -> None:
        if self._api != "jack":  # where a server that is stuck would keep this thread busy for ever, before all others
            _hurry()
        player, heard = self.player, self._heard
        until = time.monotonic_ns()
        try:
            while not (self._over or player.closed.is_set()):
                while heard:
                    at, data = heard.popleft()
                    player.receive(data, at)
                now = time.monotonic_ns()
                until = max(until, now + AHEAD)
                self._send(player.cycle(now, until))
                while not heard and not player.behind and (rest := until - EARLY - time.monotonic_ns()) > 0:
                    self._rest(rest / NANOSECONDS)
        except Exception as error:  # whatever a driver throws: in this thread nobody else would ever hear of it
            traceback.print_exc()
            self._over = True
            self._gone(f"The port cannot be sent to: {error!r}.")

    def _rest(self, seconds: float) -> None:
        """Wait, or until something came in."""
        if sys.platform == "win32":
            time.sleep(min(seconds, NAP))  # which is more exact there than waiting for an event
        else:
            self._wake.wait(seconds)
            self._wake.clear()

    def _send(self, sent: Sequence[Sent]) -> None:
        """Send each message at its time. What is asked for meanwhile holds afterwards, so that no end overtakes."""
        outputs, clock = self._outputs, time.monotonic_ns
        for at, number, message in sent:
            rest = at - SPIN - clock()
            if rest > 0:
                time.sleep(rest / NANOSECONDS)
            while clock() < at:
                pass
            outputs[number].send_message(message)


def _hurry() -> None:
    """Let this thread go before others, where that is allowed."""
    with suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
