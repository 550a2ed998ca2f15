"""What a request came to, in a form that goes over a wire."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cmt_bridge.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from cmt_bridge.core.options import ComposeOptions
    from cmt_bridge.core.score import Score

__all__ = ["Outcome", "Told", "asked_of", "remarks", "summary"]

Told = Callable[[str, float], None]
"""Called with what is being done (`measure`, `compose`, `deliver`) and the share of it that is done, 0..1."""


@dataclass(frozen=True)
class Outcome:
    """What a request came to.

    `takes` has one entry for each take that was made: its `folder`, its number `take` in a project, and figures.
    `project` is the project folder, `dropped` are the files for the session. `notes` are sentences for the person,
    `seconds` the time that each part took, `more` what only one verb has to say.
    """

    takes: list[dict[str, Any]]
    project: str | None = None
    dropped: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "takes": self.takes,
            "project": self.project,
            "dropped": self.dropped,
            "notes": self.notes,
            "seconds": {name: round(value, 2) for name, value in self.seconds.items()},
            **self.more,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Outcome:
        """Read what `to_json` gave."""
        known = {name: data[name] for name in ("takes", "project", "dropped", "notes", "seconds")}
        return cls(**known, more={name: value for name, value in data.items() if name not in known})


def summary(score: Score, folder: Path, seed: int, number: int | None = None) -> dict[str, Any]:
    """Return what is worth knowing of a take at once; `number` is its own in a project.

    Tempo, notes and key are those of the MIDI file in its folder, whose tracks may be others than those of the score.
    """
    from cmt_bridge.core.instruments import Instrument
    from cmt_bridge.core.key import heard_key
    from cmt_bridge.projects.arrangement import version_of

    asked = asked_of(score)
    there = sorted(folder.glob("*.mid"))  # one, unless somebody took it away
    version = version_of(there[0], folder.name) if there else None
    tracks = score.tracks if version is None else version.parts
    return {
        "folder": str(folder),
        "take": number,
        "seed": seed,
        "tempo": score.tempo_map.bpm_at(0) if version is None else version.bpm,
        "bars": score.bars,
        "duration": score.duration,
        "heard_key": heard_key(score.notes()),
        "asked_key": asked.key if asked is not None else "",
        "notes": {track.name: len(track.notes) for track in tracks},
        "asked": [each.title for each in (asked.instruments if asked is not None else Instrument)],
        "markers": dict(Counter(marker.kind for marker in score.markers)),
    }


def asked_of(score: Score) -> ComposeOptions | None:
    """Return the options that a score was made with; None where it does not tell."""
    from cmt_bridge.core.options import ComposeOptions

    try:
        return ComposeOptions.from_json(score.provenance.options)
    except (KeyError, TypeError, ValueError, AttributeError, UsageError):
        return None


def remarks(take: Mapping[str, Any]) -> list[str]:
    """Return what of a take, as `summary` gives it, is not as it was asked for, and why."""
    from cmt_bridge.core.key import key_title, relative_key

    name = f"Take {take['take']}" if take["take"] else f"The music in {take['folder']}"
    found = []
    heard, asked = take["heard_key"], take["asked_key"]
    if asked and heard and heard != asked:
        why = "which has the same notes" if heard == relative_key(asked) else "by how long each note sounds"
        found.append(
            f"{name} is heard in {key_title(heard)}, {why}, and not in {key_title(asked)}: a key makes its notes "
            "likely, and is no rule. Another --seed may come nearer."
        )
    silent = [part for part in take["asked"] if not take["notes"].get(part)]
    if silent:
        found.append(
            f"{name} has no notes for {', '.join(silent)}: the model decides in each bar who plays, and gives few "
            "onsets to few parts. To hear more of them, name fewer with --instruments, or try another --seed."
        )
    return found
