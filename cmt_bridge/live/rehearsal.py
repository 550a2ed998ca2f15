"""A rehearsal: every message of a stream with its time, through the very player, on a clock that needs no time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from cmt_bridge.core.score import Score
from cmt_bridge.core.tempo import BEATS_PER_BAR, TICKS_PER_BAR, TICKS_PER_QUARTER
from cmt_bridge.live.controls import Controls
from cmt_bridge.live.request import TRACKS, StreamRequest
from cmt_bridge.live.sheet import Sheet
from cmt_bridge.player.ledger import Ledger
from cmt_bridge.player.monitor import REALTIME, VOICE
from cmt_bridge.player.order import Picture
from cmt_bridge.player.player import SYNC, Player
from cmt_bridge.player.ruler import NANOSECONDS
from cmt_bridge.player.sequencer import prepare

__all__ = ["Rehearsed", "rehearse"]

CYCLE: Final = NANOSECONDS // 100
SYSTEM: Final = {**REALTIME, 0xF1: "quarter frame", 0xF2: "song position"}
TICKS_SHOWN: Final = 480  # a quarter


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """A message: seconds from the beginning, tick of the piece, track or `sync` (for who follows us), and its bytes."""

    seconds: float
    tick: float
    track: str
    data: bytes

    @property
    def kind(self) -> str:
        """What kind of message it is."""
        return VOICE.get(self.data[0] >> 4) or SYSTEM.get(self.data[0], "system exclusive")

    @property
    def position(self) -> str:
        """Bar, beat and ticks of 480 to a quarter, as a DAW shows them."""
        ticks = round(self.tick * TICKS_SHOWN / TICKS_PER_QUARTER)
        beats, rest = divmod(ticks, TICKS_SHOWN)
        bar, beat = divmod(beats, BEATS_PER_BAR)
        return f"{bar + 1}|{beat + 1}|{rest:03}"

    def to_json(self) -> dict[str, Any]:
        return {
            "seconds": round(self.seconds, 6),
            "position": self.position,
            "track": self.track,
            "message": self.kind,
            "bytes": list(self.data),
        }


def rehearse(score: Score, request: StreamRequest) -> Iterator[Rehearsed]:
    """Give what a stream of a score would send if it led itself, from the first bar, or from its loop once through."""
    order = request.order(score.tempo_map, Picture(score.frame_rate, score.timecode, score.duration))
    player = Player(order, NANOSECONDS, Ledger())
    player.feed(
        prepare(player.ruler, bar, [(t, d, c, p, v) for t, d, c, p, v in notes]) for bar, notes in Sheet.of(score)
    )
    player.end(score.bars)
    player.mute(Controls.of(request.mute, request.solo).silent)
    first, last = request.loop or (0, score.bars)
    player.locate(first * TICKS_PER_BAR)
    player.play()
    tracks = {track.channel: track.name for track in TRACKS}
    begin = player.ruler.of(first * TICKS_PER_BAR)
    end = player.ruler.of(last * TICKS_PER_BAR) - begin + player.outlet.ahead
    for start in range(0, end + CYCLE, CYCLE):
        if start >= end:
            player.stop()
        for time, port, data in player.cycle(start, start + CYCLE):
            tick = player.ruler.tick(begin + min(time, end) - player.outlet.ahead)
            track = "sync" if port == SYNC else tracks[data[0] & 0x0F]
            yield Rehearsed(time / NANOSECONDS, tick, track, data)
