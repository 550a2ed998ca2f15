"""What this system has to send MIDI with, and what it lacks, each with its remedy."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Any, Final

from cmt_bridge.errors import MissingError
from cmt_bridge.player.jackport import jack_module
from cmt_bridge.player.midiport import APIS, REMEDIES, lacking, rtmidi_module, system_api

__all__ = ["System", "best", "survey"]

TITLES: Final = {"jack": "JACK", "alsa": "ALSA", "coremidi": "CoreMIDI", "windows": "Windows", "link": "Link"}
BUILT_IN_SYNTH: Final = "Microsoft GS Wavetable"  # a port of Windows that no DAW listens to


@dataclass(frozen=True, slots=True)
class System:
    """Something to play through, or to follow: whether it is `there`, and what else to know of it.

    `remedy` says how to get what is missing. `to` are ports that music can be sent to, `sources` those that can be
    followed; `makes_ports` says whether a port of our own can be opened, for others to connect.
    """

    name: str
    there: bool
    detail: str
    remedy: str = ""
    makes_ports: bool = True
    to: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Its name as people write it."""
        return TITLES[self.name]

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "to": list(self.to), "sources": list(self.sources)}


def survey(platform: str = sys.platform) -> tuple[System, ...]:
    """Look at what there is: JACK, the system's own MIDI, and Ableton Link."""
    return _jack(), _native(system_api(platform)), _link()


def best(systems: Sequence[System]) -> System | None:
    """Choose what is played through where nothing else is said: JACK if it runs, else the system's own."""
    return next((system for system in systems if system.there and system.name != "link"), None)


def _jack() -> System:
    try:
        jack = jack_module()
    except MissingError as error:
        return System("jack", False, error.args[0], error.hint)
    try:
        client = jack.Client("cmt-bridge ports", no_start_server=True)
    except jack.JackOpenError:
        server = os.environ.get("JACK_DEFAULT_SERVER", "")
        which = f" called {server}" if server else ""
        return System("jack", False, f"No JACK server{which} runs.", REMEDIES["jack"])
    try:
        detail = f"{client.samplerate} Hz, {client.blocksize} frames a period, notes at their sample"
        to = tuple(port.name for port in client.get_ports(is_midi=True, is_input=True))
        sources = tuple(port.name for port in client.get_ports(is_midi=True, is_output=True))
    finally:
        with suppress(jack.JackError):
            client.close()
    return System("jack", True, detail, to=to, sources=sources)


def _native(api: str) -> System:
    try:
        rtmidi, lack = rtmidi_module(), lacking(api)
    except MissingError as error:
        return System(api, False, error.args[0], error.hint)
    if lack:
        return System(api, False, lack, REMEDIES[api])
    number = getattr(rtmidi, APIS[api])
    try:
        to, sources = (_ports(kind(rtapi=number)) for kind in (rtmidi.MidiOut, rtmidi.MidiIn))
    except OSError as error:
        remedy = "Become a member of the group audio." if api == "alsa" else REMEDIES[api]
        return System(api, False, f"It does not answer: {error}", remedy)
    if api != "windows":
        return System(api, True, "ports of our own", to=to, sources=sources)
    loops = any(not name.startswith(BUILT_IN_SYNTH) for name in to)
    detail = "ports that exist; none of our own" if loops else "There is no port that a DAW listens to."
    return System(api, loops, detail, "" if loops else REMEDIES[api], makes_ports=False, to=to, sources=sources)


def _ports(device: Any) -> tuple[str, ...]:
    try:
        return tuple(device.get_ports())
    finally:
        device.delete()


def _link() -> System:
    if find_spec("link") is None:
        return System("link", False, "Ableton Link is not installed.", "pip install 'cmt-bridge[link]'")
    return System("link", True, "Ableton Link, to follow and to lead")
