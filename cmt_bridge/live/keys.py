"""Keys of a terminal that control a stream."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, Final, Protocol

from cmt_bridge.core.bounds import CONTROL, DENSITY
from cmt_bridge.core.tempo import TICKS_PER_BAR
from cmt_bridge.errors import UsageError
from cmt_bridge.live.controls import SEEDS, TRACK_NAMES, Controls
from cmt_bridge.settings.table import USUAL_CONTROL

__all__ = ["Keys", "Stream"]

ARROWS: Final = {b"\x1b[D": -1, b"\x1b[C": 1, b"\xe0K": -1, b"\xe0M": 1}
"""Left and right, as terminals and Windows' console say them."""
STEP: Final = 0.1  # of the control
PHRASE: Final = 4  # bars, from a multiple of it on


class Stream(Protocol):
    """A stream that can be controlled."""

    controls: Controls
    state: dict[str, Any]

    @property
    def position(self) -> float: ...

    def turn(self, wanted: Mapping[str, Any]) -> Any: ...

    def stop(self) -> None: ...


class Keys:
    """Turn keys into what they ask of a stream; `m` and `s` wait for the number of a track."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._prefix = ""

    def press(self, data: bytes) -> None:
        """Take in what was typed; what means nothing is passed over."""
        stream = self._stream
        if data in ARROWS:
            bar = int(stream.position // TICKS_PER_BAR) + 1
            self._turn(locate=max(1, bar + ARROWS[data]))
            return
        for key in data.decode("ascii", "replace"):
            self._press(key)

    def _press(self, key: str) -> None:
        stream, prefix = self._stream, self._prefix
        controls = stream.controls
        self._prefix = ""
        if prefix and key.isdigit() and 1 <= int(key) <= len(TRACK_NAMES):
            name = TRACK_NAMES[int(key) - 1]
            on = name in (controls.muted if prefix == "mute" else controls.soloed)
            self._turn(**{f"{prefix}.{name}": not on})
            return
        match key:
            case "m" | "s":
                self._prefix = {"m": "mute", "s": "solo"}[key]
            case " ":
                self._turn(**{"stop" if stream.state.get("rolling") else "play": True})
            case "+" | "=":
                self._turn(density=min(int(DENSITY.most), controls.density + 1))
            case "-":
                self._turn(density=max(int(DENSITY.least), controls.density - 1))
            case "[" | "]":
                now = USUAL_CONTROL if controls.control is None else controls.control
                self._turn(
                    control=round(min(CONTROL.most, max(CONTROL.least, now + (STEP if key == "]" else -STEP))), 3)
                )
            case "l":
                bar = int(stream.position // TICKS_PER_BAR) // PHRASE * PHRASE
                self._turn(loop="" if controls.loop else f"{bar + 1}-{bar + PHRASE}")
            case "r":
                self._turn(seed=secrets.randbelow(SEEDS))
            case "p":
                self._turn(panic=True)
            case "q":
                stream.stop()

    def _turn(self, **wanted: Any) -> None:
        try:
            self._stream.turn(wanted)
        except UsageError:  # a key cannot say what is wrong, and it changes nothing
            return
