"""What can be changed while it plays: one table for keys, MIDI controllers, OSC and the control API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from cmt_bridge.core.bounds import CONTROL, DENSITY, STREAM_BARS, Bound
from cmt_bridge.errors import UsageError
from cmt_bridge.live.request import TRACKS, stretch
from cmt_bridge.settings.kinds import BarRange, Kind, Number, Switch, WholeNumber, not_allowed

__all__ = ["ACTIONS", "CONTROLS", "Control", "Controls", "checked"]

TRACK_NAMES: Final = tuple(track.name for track in TRACKS)
CHANNELS: Final = {track.name: track.channel for track in TRACKS}
SEEDS: Final = 2**31  # that OSC's whole numbers can say
LIVE_SEED: Final = Bound("as a seed", 0, SEEDS - 1)
TAKE_NUMBER: Final = Bound("as the number of a take", 1, 2**31 - 1)
PRESSED: Final = 64  # of a MIDI controller's 0..127


class Action(Switch):
    """Something that is done when it is switched on, and leaves no state."""

    name = "action"


@dataclass(frozen=True, slots=True)
class Control:
    """Something to change: its name, what it does, and what it may be."""

    name: str
    help: str
    kind: Kind


CONTROLS: Final = (
    *(Control(f"mute.{name}", f"Silence the {name}.", Switch()) for name in TRACK_NAMES),
    *(
        Control(f"solo.{name}", f"Let only the {name} sound, and others that are soloed.", Switch())
        for name in TRACK_NAMES
    ),
    Control("density", "Onsets per bar more or less than the picture asks for.", WholeNumber(DENSITY)),
    Control("control", "How closely to follow the picture (C).", Number(CONTROL)),
    Control("seed", "Compose what comes with another seed.", WholeNumber(LIVE_SEED)),
    Control("play", "Play, where we lead.", Action()),
    Control("stop", "Stop, where we lead.", Action()),
    Control("locate", "Go to a bar, counted from 1, where we lead.", WholeNumber(STREAM_BARS)),
    Control("loop", "Repeat bars, such as 5-8; nothing for none. Where we lead.", BarRange()),
    Control("take", "Make a take the current one.", WholeNumber(TAKE_NUMBER)),
    Control("panic", "End whatever sounds, by all means.", Action()),
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
        """Return the controls after some of them were set; actions are passed over.

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
        """Return what it means for a control that a MIDI controller has gone from `before` to `value`, each 0..127.

        A press turns a switch over, and starts an action. None where it means nothing.
        """
        control = BY_NAME[name]
        if isinstance(control.kind, Switch):
            if not before < PRESSED <= value:
                return None
            kind, _, track = name.partition(".")
            return isinstance(control.kind, Action) or track not in (self.muted if kind == "mute" else self.soloed)
        low, high = control.kind.bounds or (0.0, 1.0)
        scaled = low + (high - low) * value / 127
        return round(scaled) if isinstance(control.kind, WholeNumber) else round(scaled, 3)

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
    """Return values of controls as what they are; twice is as once. Raises `UsageError` where one cannot be set."""
    found: dict[str, Any] = {}
    for name, value in wanted.items():
        control = BY_NAME.get(name)
        if control is None:
            raise UsageError(f"There is no control {name[:64]!r}.", hint=f"There are {', '.join(BY_NAME)}.")
        if isinstance(control.kind, Switch):
            found[name] = bool(value)
        elif isinstance(value, tuple):
            found[name] = value
        else:
            found[name] = _read(control, value)
    return found


def _read(control: Control, value: Any) -> Any:
    try:
        read = control.kind.read("" if value is None else value)
    except (ValueError, TypeError, OverflowError):
        raise not_allowed(control.name, control.kind.allowed, value, control.help) from None
    return stretch(read, control.name) if isinstance(control.kind, BarRange) else read
