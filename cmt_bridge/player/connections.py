"""Connections: which ports ours are to be connected to, as was asked for, and as somebody connected them by hand.

A DAW that quits takes its ports along, and comes again with them; so does a player that was killed. What was connected
then is connected again, unless somebody took the cable out meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from cmt_bridge.core.files import complete_path
from cmt_bridge.errors import OutputError

__all__ = ["Cable", "Connections", "named"]

Cable = tuple[str, str]
"""The short name of a port of ours, and the full name of another."""

LOOKS: Final = 6
"""After as many, a port that is there and not connected any more was taken out: a DAW that quits takes off its cables
first, and its ports some time later."""


class Connections:
    """Say what to connect, look after look; `memory` is a file that outlives the player.

    `asked` gives by the short name of our port what it is to be connected to. A name that is no port's own stands for
    the first port that has it in its name.
    """

    def __init__(self, asked: Mapping[str, Iterable[str]], memory: Path | None = None) -> None:
        self._asked = [(ours, name) for ours, names in asked.items() for name in names]
        self._memory = memory
        self._kept: set[Cable] = set()
        self._plugged: set[Cable] = set()
        self._loose: dict[Cable, int] = {}  # out, and since how many looks; their ports may be about to go
        self._wanted: list[Cable] = []
        if memory is not None:
            with suppress(OSError, ValueError, AttributeError, TypeError):
                for ours, names in json.loads(memory.read_text(encoding="utf-8")).items():
                    self._kept |= {(str(ours), str(name)) for name in names}
        self._saved = frozenset(self._kept)

    @property
    def missing(self) -> list[str]:
        """The names that were asked for and are no port's yet."""
        return [name for _, name in self._asked]

    @property
    def unsettled(self) -> bool:
        """Whether another look is needed: to tell why something is not connected any more, or to try again."""
        return bool(self._loose or self._wanted)

    def look(
        self,
        there: Mapping[str, Mapping[str, Iterable[str]]],
        connected: Mapping[str, Iterable[str]],
        left: Iterable[str] = (),
    ) -> list[Cable]:
        """Return what is to be connected now.

        `there` gives for each port of ours those that it could be connected to, by their full names, with the other
        names they have; `connected` those that it is connected to; `left` the programs that ended since the last look,
        one of which may have come again already.
        """
        programs = set(left)
        plugged = {(ours, name) for ours, names in connected.items() for name in names}
        found = {(ours, name) for ours, names in there.items() for name in names}
        out = ((self._plugged | self._loose.keys()) - plugged) & found
        loose = {cable: self._loose.get(cable, 0) + 1 for cable in out if cable[1].partition(":")[0] not in programs}
        pulled = {cable for cable, looks in loose.items() if looks >= LOOKS}
        self._loose = {cable: looks for cable, looks in loose.items() if cable not in pulled}
        self._plugged = plugged
        self._kept = (self._kept - pulled) | plugged
        for asked in tuple(self._asked):
            ours, name = asked
            other = named(name, there.get(ours, {}))
            if other is not None:
                self._asked.remove(asked)
                self._kept.add((ours, other))
        self._wanted = sorted((self._kept & found) - plugged - self._loose.keys())
        return self._wanted

    def save(self) -> None:
        """Write down what is connected, if that has changed."""
        if self._memory is None or self._kept == self._saved:
            return
        self._saved = frozenset(self._kept)
        kept: dict[str, list[str]] = {}
        for ours, name in sorted(self._kept):
            kept.setdefault(ours, []).append(name)
        with suppress(OutputError), complete_path(self._memory) as temporary:
            temporary.write_text(json.dumps(kept), encoding="utf-8")


def named(wanted: str, there: Mapping[str, Iterable[str]]) -> str | None:
    """Return the port that has a name, or has it in its name."""
    for name, others in there.items():
        if wanted in (name, *others):
            return name
    return next((name for name in there if wanted.lower() in name.lower()), None)
