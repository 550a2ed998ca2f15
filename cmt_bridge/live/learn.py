"""MIDI learn: which controller of a person's device moves which control, kept from stream to stream."""

from __future__ import annotations

import tomllib
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from cmt_bridge.core.files import complete_path
from cmt_bridge.errors import UsageError
from cmt_bridge.live.controls import BY_NAME, Controls
from cmt_bridge.settings.kinds import BarRange

__all__ = ["FILE_NAME", "Knob", "Learned"]

FILE_NAME: Final = "live-controls.toml"
CHANNELS, VALUES = 16, 128

Knob = tuple[int, int]
"""Channel and number of a MIDI controller, from 0."""


class Learned:
    """Controllers by what they move, as a file says; each name that is to be learned goes to the next one moved.

    Raises `UsageError` where the file or a name cannot be used.
    """

    def __init__(self, path: Path, names: Iterable[str] = ()) -> None:
        self.path = path
        self.knobs: dict[Knob, str] = _read(path)
        self._waiting: deque[str] = deque()
        self._values: dict[Knob, int] = {}
        for name in names:
            self.learn(name)

    @property
    def waiting(self) -> str:
        """The control that the next controller is for; empty where none is to be learned."""
        return self._waiting[0] if self._waiting else ""

    def learn(self, name: str) -> None:
        """Have a control moved by the next controller that is new. Raises `UsageError` where it cannot be."""
        _check(name, "Nothing was learned.")
        self._waiting.append(name)

    def bind(self, knob: Knob) -> str:
        """Learn a controller for what waits, and write it down; return its name. Raises `OutputError`."""
        name = self._waiting.popleft()
        self.knobs = {other: control for other, control in self.knobs.items() if control != name}
        self.knobs[knob] = name
        self._write()
        return name

    def meaning(self, knob: Knob, value: int, controls: Controls) -> dict[str, Any]:
        """Return what is to be set where a controller goes to 0..127; nothing where it means nothing."""
        before = self._values.get(knob, 0)
        self._values[knob] = value
        name = self.knobs.get(knob)
        if name is None:
            return {}
        wanted = controls.moved(name, value, before)
        return {} if wanted is None else {name: wanted}

    def _write(self) -> None:
        lines = ["# Controls by the channel (from 1) and the number of the MIDI controller that moves them."]
        for (channel, number), name in sorted(self.knobs.items(), key=lambda item: item[1]):
            lines.append(f'"{name}" = [{channel + 1}, {number}]')
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with complete_path(self.path) as temporary:
            temporary.write_text("\n".join([*lines, ""]), encoding="utf-8")


def _read(path: Path) -> dict[Knob, str]:
    hint = 'Write such as "mute.drums" = [1, 20], or move it away.'
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UsageError(f"Cannot read {path}: {error}.", hint=hint) from error
    found = {}
    for name, knob in data.items():
        _check(name, f"{path} cannot be used.")
        match knob:
            case [int(channel), int(number)] if 1 <= channel <= CHANNELS and 0 <= number < VALUES:
                found[channel - 1, number] = name
            case _:
                raise UsageError(f"{path}: {name} is no channel and controller.", hint=hint)
    return found


def _check(name: str, what: str) -> None:
    known = [control.name for control in BY_NAME.values() if not isinstance(control.kind, BarRange)]
    if name not in known:
        raise UsageError(f"{what} There is no control {name[:64]!r}.", hint=f"There are {', '.join(known)}.")
