"""Cables: which ports ours are to be connected to, as was asked for, and as somebody connected them by hand.

A DAW that quits takes its ports along, and comes again with them; so does a player that was killed. What was connected
then is connected again, unless somebody took the cable out meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from cmt_bridge.core.files import complete_path
from cmt_bridge.errors import OutputError

__all__ = ["Cable", "Cables"]

Cable = tuple[str, str]
"""The short name of a port of ours, and the full name of another."""


class Cables:
    """Say what to connect, look after look; `memory` is a file that outlives the player.

    `asked` gives by the short name of our port what it is to be connected to. A name that is no port's own stands for
    the first port that has it in its name.
    """

    def __init__(self, asked: Mapping[str, Iterable[str]], memory: Path | None = None) -> None:
        self._asked = [(ours, name) for ours, names in asked.items() for name in names]
        self._memory = memory
        self._kept: set[Cable] = set()
        self._plugged: set[Cable] = set()
        self._loose: set[Cable] = set()  # out since the last look; their ports may be about to go
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
        """Whether another look is needed to tell why something is not connected any more."""
        return bool(self._loose)

    def look(
        self, there: Mapping[str, Mapping[str, Iterable[str]]], connected: Mapping[str, Iterable[str]]
    ) -> list[Cable]:
        """Give what is to be connected now.

        `there` gives for each port of ours those that it could be connected to, by their full names, with the other
        names they have; `connected` those that it is connected to.
        """
        plugged = {(ours, name) for ours, names in connected.items() for name in names}
        found = {(ours, name) for ours, names in there.items() for name in names}
        loose = ((self._plugged | self._loose) - plugged) & found
        self._kept -= loose & self._loose  # somebody took it out: its port stays
        self._loose = loose - self._loose
        self._plugged = plugged
        self._kept |= plugged
        for asked in tuple(self._asked):
            ours, name = asked
            other = _named(name, there.get(ours, {}))
            if other is not None:
                self._asked.remove(asked)
                self._kept.add((ours, other))
        return sorted((self._kept & found) - plugged - self._loose)

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


def _named(wanted: str, there: Mapping[str, Iterable[str]]) -> str | None:
    """Give the port that has a name, or has it in its name."""
    for name, others in there.items():
        if wanted in (name, *others):
            return name
    return next((name for name in there if wanted.lower() in name.lower()), None)
