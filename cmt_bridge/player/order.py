"""What a player is told when it is opened: ports, sync, tracks and tempo map, as a value with a JSON form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from cmt_bridge.core.bounds import LATENCY
from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.core.timecode import HINT, is_label
from cmt_bridge.errors import UsageError
from cmt_bridge.player.timebase import BEATS, TIME, Domain

__all__ = [
    "BACKENDS",
    "BY_JACK",
    "BY_MIDI",
    "CONTROLS",
    "FOLLOWS",
    "LEADS",
    "MUSIC",
    "SYNC_IN",
    "SYNC_OUT",
    "Order",
    "Track",
    "Wiring",
]

BACKENDS: Final = ("auto", "jack", "rtmidi")
FOLLOWS: Final[Mapping[str, Domain]] = {
    "clock": BEATS,
    "ardour-clock": BEATS,
    "mtc": TIME,
    "jack": TIME,
    "jack-bars": BEATS,
    "link": BEATS,
}
"""Whom the music may follow, and whether it then goes by the time of the picture or by beats."""
BY_MIDI: Final = ("clock", "ardour-clock", "mtc")
"""Those of them that are heard at a MIDI input."""
BY_JACK: Final = ("jack", "jack-bars")
"""Those of them that are JACK's own transport."""
LEADS: Final = ("clock", "mtc", "mmc", "jack", "link")

MUSIC: Final = "music"
"""The short name of our port for the music, where each track has not one of its own that is called as it is."""
SYNC_OUT: Final = "sync out"
SYNC_IN: Final = "sync in"
CONTROLS: Final = "controls"


@dataclass(frozen=True, slots=True)
class Track:
    """A track: its name, its channel and its General MIDI program, both from 0.

    The program is None where the music itself says it.
    """

    name: str
    channel: int
    program: int | None


@dataclass(frozen=True, slots=True)
class Picture:
    """What timecode has to know of a film.

    That is its rate as (numerator, denominator), numerator 0 where unknown, the label that it gives to its first
    picture, empty for none, and its seconds.
    """

    frame_rate: tuple[int, int] = (0, 1)
    timecode: str = ""
    duration: float = 0.0

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Picture:
        """Read the three from a message that states them."""
        numerator, denominator = data["frame_rate"]
        return cls((int(numerator), int(denominator)), str(data.get("timecode", "")), float(data.get("duration", 0.0)))


NOTHING: Final = Picture()
"""Of which nothing is known."""


@dataclass(frozen=True, kw_only=True)
class Wiring:
    """How music is to be played, whatever it is.

    `split` gives each track a port of its own. `to` are ports that the music is connected to, `sync_to` those for what
    we lead by, `sources` those that are followed, `controls` those of controllers. `latency` is in ms, by the name of a
    track, or of all under the empty name. `start` is the timecode of the first bar, empty for the whole hour before it.
    """

    backend: str = "auto"
    api: str = ""
    name: str = "cmt-bridge"
    split: bool = False
    to: tuple[str, ...] = ()
    sync_to: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()
    follow: str = ""
    lead: tuple[str, ...] = ()
    latency: Mapping[str, float] = field(default_factory=dict)
    start: str = ""
    chase: bool = True

    def __post_init__(self) -> None:
        for name, said, known in (
            ("backend", (self.backend,), BACKENDS),
            ("source to follow", (self.follow,) if self.follow else (), tuple(FOLLOWS)),
            ("way to lead", self.lead, LEADS),
        ):
            for each in said:
                if each not in known:
                    raise UsageError(f"There is no {name} {each!r}.", hint=f"Choose from {', '.join(known)}.")
        for delay in self.latency.values():
            LATENCY.check(delay)
        if self.start and not is_label(self.start):
            raise UsageError(f"There is no timecode {self.start!r}.", hint=HINT)
        if self.follow and self.lead and self.domain == BEATS and set(self.lead) - {"clock"}:
            raise UsageError(
                f"Who follows {self.follow} knows beats and no time, so it cannot lead by {', '.join(self.lead)}.",
                hint="Lead by clock, or follow mtc or jack.",
            )
        if self.follow in BY_JACK and "jack" in self.lead:
            raise UsageError("JACK's transport cannot be followed and led at once.", hint="Leave one of them out.")

    @property
    def domain(self) -> Domain:
        """Whether the music goes by the time of the picture or by beats."""
        return FOLLOWS[self.follow] if self.follow else TIME

    def ordered(
        self, tempo_map: TempoMap, picture: Picture, tracks: tuple[Track, ...], ledger: Path | None = None
    ) -> Order:
        """Return the order to play a piece so. Raises `UsageError` where that cannot be carried out."""
        said = {each.name: getattr(self, each.name) for each in fields(Wiring)}
        return Order(tempo_map=tempo_map, picture=picture, tracks=tracks, ledger=ledger, **said)


@dataclass(frozen=True, kw_only=True)
class Order(Wiring):
    """How a player is to play a piece; `ledger` is where it is written down what sounds."""

    tempo_map: TempoMap = field(default_factory=lambda: TempoMap.constant(120))
    picture: Picture = field(default_factory=Picture)
    tracks: tuple[Track, ...] = ()
    ledger: Path | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        names = {"", *(track.name for track in self.tracks)}
        for name in self.latency:
            if name not in names:
                raise UsageError(f"There is no track {name!r}.", hint=f"There are {', '.join(sorted(names - {''}))}.")

    @property
    def music(self) -> tuple[str, ...]:
        """The short names of the ports for the music."""
        return tuple(track.name for track in self.tracks) if self.split else (MUSIC,)

    def latency_of(self, track: Track) -> float:
        """Return how late a track sounds, in ms."""
        return float(self.latency.get(track.name, self.latency.get("", 0.0)))

    def to_json(self) -> dict[str, Any]:
        return {
            "do": "open",
            "backend": self.backend,
            "api": self.api,
            "name": self.name,
            "split": self.split,
            "to": list(self.to),
            "sync_to": list(self.sync_to),
            "from": list(self.sources),
            "controls_from": list(self.controls),
            "follow": self.follow,
            "lead": list(self.lead),
            "latency": dict(self.latency),
            "start": self.start,
            "tempo_map": [[change.tick, change.uspq] for change in self.tempo_map.changes],
            "frame_rate": list(self.picture.frame_rate),
            "timecode": self.picture.timecode,
            "duration": self.picture.duration,
            "tracks": [{"name": t.name, "channel": t.channel, "program": t.program} for t in self.tracks],
            "chase": self.chase,
            "ledger": None if self.ledger is None else str(self.ledger),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Order:
        """Read what `to_json` gave; what is missing is as usual. Raises `UsageError` where it cannot be carried out."""
        usual = cls().to_json()
        said = {**usual, **{name: value for name, value in data.items() if value is not None}}
        return cls(
            backend=str(said["backend"]),
            api=str(said["api"]),
            name=str(said["name"]),
            split=bool(said["split"]),
            to=tuple(map(str, said["to"])),
            sync_to=tuple(map(str, said["sync_to"])),
            sources=tuple(map(str, said["from"])),
            controls=tuple(map(str, said["controls_from"])),
            follow=str(said["follow"]),
            lead=tuple(map(str, said["lead"])),
            latency={str(name): float(value) for name, value in said["latency"].items()},
            start=str(said["start"]),
            tempo_map=TempoMap.of((int(tick), int(uspq)) for tick, uspq in said["tempo_map"]),
            picture=Picture.from_json(said),
            tracks=tuple(_track(each) for each in said["tracks"]),
            chase=bool(said["chase"]),
            ledger=Path(said["ledger"]) if said["ledger"] else None,
        )


def _track(said: Mapping[str, Any]) -> Track:
    program = said["program"]
    return Track(str(said["name"]), int(said["channel"]), None if program is None else int(program))
