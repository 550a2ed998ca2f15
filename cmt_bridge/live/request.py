"""What is asked of a stream, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cmt_bridge.config import read_config
from cmt_bridge.core.instruments import PARTS
from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.player.order import NOTHING, Order, Picture, Track, Wiring
from cmt_bridge.settings import Settings, check_texts, setting
from cmt_bridge.settings.kinds import BarRange, not_allowed

__all__ = ["TRACKS", "StreamRequest", "asked", "stretch"]

FIELDS: Final = {"from": "sources", "controls_from": "controls", "port_per_track": "split"}
"""Settings whose attribute of a request has another name."""

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
        """Return how the player is to play a piece. Raises `UsageError` where that cannot be."""
        return self.ordered(tempo_map, picture, tracks, ledger)


def asked(path: Path, said: Mapping[str, Any]) -> StreamRequest:
    """Return the request for a video of what was said, and of what [live] of cmt-bridge.toml says where nothing was.

    Fields are called as in the control API. Raises `UsageError` for what cannot be carried out.
    """
    config = read_config(path.absolute().parent)
    usual = {name: value for name, value in config.live.items() if name != "warm"}
    fields = {**usual, **{name: value for name, value in said.items() if value is not None}}
    settings = dict(check_texts(fields.pop("options", {})))
    found = {FIELDS.get(name, name): setting("stream", name).read(value) for name, value in fields.items()}
    if "loop" in found:
        found["loop"] = stretch(found["loop"], "loop")
    if found.get("fresh") and not {**config.score, **settings}.get("seed"):
        settings["seed"] = str(_next_seed(path))
    return StreamRequest(path=path, settings=settings, **found)


def _next_seed(path: Path) -> int:
    """Return the first seed that a video has no take of, so that what is composed anew is other music."""
    from cmt_bridge.takes.locate import find_take_folder
    from cmt_bridge.takes.seeds import next_seed

    project = find_take_folder(path)
    return next_seed(project.takes()) if project is not None else 0


def stretch(text: str, name: str) -> tuple[int, int] | None:
    """Return bars such as 5-8, from 1, as bars from 0 without the second; None where the text is empty.

    Raises `UsageError`, with `name` as what was to be read, where there are no such bars.
    """
    try:
        BarRange().read(text)
    except (ValueError, TypeError):
        raise not_allowed(name, BarRange.allowed, text, setting("stream", "loop").help) from None
    first, _, last = text.partition("-")
    return (int(first) - 1, int(last or first)) if text else None
