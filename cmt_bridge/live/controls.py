"""What can be changed while it plays: one table for keys, MIDI controllers, OSC and the control API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from cmt_bridge.errors import UsageError
from cmt_bridge.live.request import MOST_BARS, TRACKS, stretch

__all__ = ["ACTIONS", "CONTROLS", "Control", "Controls", "checked"]

Kind = Literal["switch", "range", "whole", "bars", "action"]
TRACK_NAMES: Final = tuple(track.name for track in TRACKS)
CHANNELS: Final = {track.name: track.channel for track in TRACKS}
SEEDS: Final = 2**31
MOST_TAKES: Final = 2**31 - 1
PRESSED: Final = 64  # of a MIDI controller's 0..127


@dataclass(frozen=True, slots=True)
class Control:
    """Something to change: its name, what it does, and from where to where it goes."""

    name: str
    help: str
    kind: Kind
    low: float = 0.0
    high: float = 1.0


CONTROLS: Final = (
    *(Control(f"mute.{name}", f"Silence the {name}.", "switch") for name in TRACK_NAMES),
    *(
        Control(f"solo.{name}", f"Let only the {name} sound, and others that are soloed.", "switch")
        for name in TRACK_NAMES
    ),
    Control("density", "Onsets per bar more or less than the picture asks for.", "whole", -8, 8),
    Control("control", "How closely to follow the picture (C).", "range", 0.0, 1.0),
    Control("seed", "Compose what comes with other dice.", "whole", 0, SEEDS - 1),
    Control("play", "Play, where we lead.", "action"),
    Control("stop", "Stop, where we lead.", "action"),
    Control("locate", "Go to a bar, counted from 1, where we lead.", "whole", 1, MOST_BARS),
    Control("loop", "Repeat bars, such as 5-8; nothing for none. Where we lead.", "bars"),
    Control("take", "Make a take the current one.", "whole", 1, MOST_TAKES),
    Control("panic", "End whatever sounds, by all means.", "action"),
)
"""All that can be changed."""

ACTIONS: Final = ("play", "stop", "locate", "take", "panic")
"""Those that do something and leave no state."""

BY_NAME: Final = {control.name: control for control in CONTROLS}


@dataclass(frozen=True)
class Controls:
    """How the controls stand. `control` and `seed` None: as the score was asked for. `loop` is as in a request."""

    muted: frozenset[str] = frozenset()
    soloed: frozenset[str] = frozenset()
    density: int = 0
    control: float | None = None
    seed: int | None = None
    loop: tuple[int, int] | None = None

    @classmethod
    def of(cls, mute: tuple[str, ...], solo: tuple[str, ...], loop: tuple[int, int] | None = None) -> Controls:
        """Start with some tracks muted or soloed. Raises `UsageError` for a name that is no track's."""
        named = {**{f"mute.{name}": True for name in mute}, **{f"solo.{name}": True for name in solo}}
        return cls(loop=loop).turned(named)

    @property
    def silent(self) -> frozenset[int]:
        """The channels that are not heard."""
        names = set(self.muted)
        if self.soloed:
            names |= set(TRACK_NAMES) - self.soloed
        return frozenset(CHANNELS[name] for name in names)

    @property
    def composing(self) -> tuple[int, float | None, int | None]:
        """What the composer has to know of."""
        return self.density, self.control, self.seed

    def turned(self, wanted: Mapping[str, Any]) -> Controls:
        """Give the controls after some of them were set; actions are passed over.

        Raises `UsageError` for a name that is not known and a value that cannot be set.
        """
        found = self
        for name, value in checked(wanted).items():
            kind, _, track = name.partition(".")
            if kind == "mute":
                found = replace(found, muted=found.muted | {track} if value else found.muted - {track})
            elif kind == "solo":
                found = replace(found, soloed=found.soloed | {track} if value else found.soloed - {track})
            elif name not in ACTIONS:
                found = replace(found, **{name: value})
        return found

    def moved(self, name: str, value: int, before: int) -> Any:
        """Give what it means for a control that a MIDI controller has gone from `before` to `value`, each 0..127.

        A press turns a switch over, and starts an action. None where it means nothing.
        """
        control = BY_NAME[name]
        if control.kind in ("switch", "action"):
            if not before < PRESSED <= value:
                return None
            kind, _, track = name.partition(".")
            return control.kind == "action" or track not in (self.muted if kind == "mute" else self.soloed)
        scaled = control.low + (control.high - control.low) * value / 127
        return round(scaled) if control.kind == "whole" else round(scaled, 3)

    def to_json(self) -> dict[str, Any]:
        return {
            "muted": sorted(self.muted, key=TRACK_NAMES.index),
            "soloed": sorted(self.soloed, key=TRACK_NAMES.index),
            "density": self.density,
            "control": self.control,
            "seed": self.seed,
            "loop": f"{self.loop[0] + 1}-{self.loop[1]}" if self.loop else "",
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Controls:
        """Read what `to_json` gave."""
        return cls(
            muted=frozenset(data["muted"]),
            soloed=frozenset(data["soloed"]),
            density=int(data["density"]),
            control=data["control"],
            seed=data["seed"],
            loop=stretch(data["loop"], "loop"),
        )


def checked(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Give values of controls as what they are; twice is as once. Raises `UsageError` where one cannot be set."""
    found: dict[str, Any] = {}
    for name, value in wanted.items():
        control = BY_NAME.get(name)
        if control is None:
            raise UsageError(f"There is no control {name[:64]!r}.", hint=f"There are {', '.join(BY_NAME)}.")
        if control.kind in ("switch", "action"):
            found[name] = bool(value)
        elif control.kind == "bars":
            found[name] = value if isinstance(value, tuple) else stretch(str(value or ""), name)
        elif isinstance(value, bool) or not isinstance(value, int | float) or not control.low <= value <= control.high:
            raise UsageError(
                f"{name} cannot be set to {value!r}.", hint=f"Give a number from {control.low:g} to {control.high:g}."
            )
        else:
            found[name] = int(value) if control.kind == "whole" else float(value)
    return found
