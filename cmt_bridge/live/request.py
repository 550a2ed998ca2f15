"""What is asked of a stream, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cmt_bridge.config import read_config
from cmt_bridge.core.instruments import PARTS
from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.errors import UsageError
from cmt_bridge.player.order import NOTHING, Order, Picture, Track, Wiring
from cmt_bridge.settings import Settings, as_text

__all__ = ["MOST_BARS", "TRACKS", "StreamRequest", "asked", "stretch"]

MOST_BARS: Final = 100_000
FIELDS: Final = {"options": "settings", "from": "sources", "controls_from": "controls", "port_per_track": "split"}
LISTS: Final = {"mute", "solo", "to", "sync_to", "sources", "controls", "lead"}

TRACKS = tuple(Track(part.instrument.name.lower(), part.channel, part.program) for part in PARTS.values())


@dataclass(frozen=True)
class StreamRequest(Wiring):
    """Play the current take of a video, or compose one while it plays.

    `settings` are those of a score, `fresh` composes although there is a take, `endless` goes on after the video's end.
    `loop` are bars from 0, the second not included. With `wait` the music stands until somebody starts it. `mute` and
    `solo` are names of tracks. The rest is as in `Wiring`.
    """

    path: Path
    settings: Settings = field(default_factory=dict)
    fresh: bool = False
    endless: bool = False
    loop: tuple[int, int] | None = None
    wait: bool = False
    mute: tuple[str, ...] = ()
    solo: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.order(TempoMap.constant(120), NOTHING)  # so that what cannot be carried out is refused at once

    def order(
        self,
        tempo_map: TempoMap,
        picture: Picture,
        ledger: Path | None = None,
        tracks: tuple[Track, ...] = TRACKS,
    ) -> Order:
        """Give how the player is to play a piece. Raises `UsageError` where that cannot be."""
        return self.ordered(tempo_map, picture, tracks, ledger)


def asked(path: Path, said: Mapping[str, Any]) -> StreamRequest:
    """Give the request for a video of what was said, and of what [live] of cmt-bridge.toml says where nothing was.

    Fields are called as in the control API. Raises `UsageError` for what cannot be carried out.
    """
    config = read_config(path.absolute().parent)
    usual = {name: value for name, value in config.live.items() if name != "warm"}
    fields = {**usual, **{name: value for name, value in said.items() if value is not None}}
    found: dict[str, Any] = {FIELDS.get(name, name): value for name, value in fields.items()}
    for name in LISTS & found.keys():
        found[name] = tuple(map(str, found[name]))
    if "loop" in found:
        found["loop"] = stretch(found["loop"], "loop")
    if "latency" in found and not isinstance(found["latency"], Mapping):
        found["latency"] = {"": float(found["latency"])}
    if "settings" in found:
        found["settings"] = {name: as_text(value) for name, value in found["settings"].items()}
    found["path"] = path
    if found.get("fresh") and not {**config.score, **found.get("settings", {})}.get("seed"):
        found["settings"] = {**found.get("settings", {}), "seed": str(_next_seed(path))}
    return StreamRequest(**found)


def _next_seed(path: Path) -> int:
    """Return the first seed that a video has no take of, so that what is composed anew is other music."""
    from cmt_bridge.takes.locate import find_take_folder
    from cmt_bridge.takes.seeds import next_seed

    project = find_take_folder(path)
    return next_seed(project.takes()) if project is not None else 0


def stretch(text: str, name: str) -> tuple[int, int] | None:
    """Read bars such as 5-8, from 1, as bars from 0 without the second; nothing is None. Raises `UsageError`."""
    if not text:
        return None
    first, _, last = text.partition("-")
    with suppress(ValueError):
        bars = int(first) - 1, int(last or first)
        if 0 <= bars[0] < bars[1] <= MOST_BARS:
            return bars
    raise UsageError(f"{name} cannot read {text[:64]!r}.", hint="Give bars, such as 5-8.")
