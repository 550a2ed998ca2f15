"""A rehearsal: every message of a stream with its time, through the very player, on a clock that needs no time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from cmt_bridge.config import read_config
from cmt_bridge.core.tempo import BEATS_PER_BAR, TICKS_PER_BAR, TICKS_PER_QUARTER
from cmt_bridge.live.controls import Controls
from cmt_bridge.live.music import Music
from cmt_bridge.live.request import StreamRequest
from cmt_bridge.player.active_notes import ActiveNotes
from cmt_bridge.player.monitor import REALTIME, VOICE
from cmt_bridge.player.player import SYNC, Player
from cmt_bridge.player.sequencer import prepare
from cmt_bridge.player.timebase import NANOSECONDS
from cmt_bridge.settings import analysis_options, compose_options

__all__ = ["Rehearsed", "music_of", "rehearse"]

CYCLE: Final = NANOSECONDS // 100
FAREWELL: Final = 3  # cycles in which it ends
SYSTEM: Final = {**REALTIME, 0xF1: "quarter frame", 0xF2: "song position"}
SYSTEM_EXCLUSIVE: Final = 0xF0
TICKS_SHOWN: Final = 480  # a quarter


def music_of(request: StreamRequest) -> Music:
    """Return the music that a request plays: the current take, or what `score` composes, which is not kept.

    Raises the errors of reading a take, and of measuring and composing.
    """
    from cmt_bridge.takes.locate import find_take_folder

    folder = None if request.fresh else find_take_folder(request.path)
    if folder is not None:
        return Music.of_take(folder.current())

    from cmt_bridge.scoring.pipeline import look_at, score_picture
    from cmt_bridge.scoring.score import weights_of

    settings = {**read_config(request.path.absolute().parent).score, **request.settings}
    picture = look_at(request.path, analysis_options(settings))
    model, precision = weights_of(settings)
    return Music.of_score(score_picture(picture, compose_options(settings), model=model, precision=precision)[0])


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """A message: seconds from the beginning, tick of the piece, its bytes, and its track.

    Track `sync` is for who follows us, `all` a system exclusive.
    """

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


def rehearse(music: Music, request: StreamRequest) -> Iterator[Rehearsed]:
    """Yield what a stream of music would send if it led itself, from the first bar, or from its loop once through."""
    order = request.order(music.tempo_map, music.picture, tracks=music.tracks)
    player = Player(order, NANOSECONDS, ActiveNotes())
    player.feed(prepare(player.timebase, bar, entries) for bar, entries in music.bars)
    player.end(music.length)
    player.mute(music.silent(Controls.of(request.mute, request.solo)))
    first, last = request.loop or (0, music.length)
    player.locate(first * TICKS_PER_BAR)
    player.play()
    tracks = {track.channel: track.name for track in music.tracks}
    begin = player.timebase.position(first * TICKS_PER_BAR)
    end = player.timebase.position(last * TICKS_PER_BAR) - begin + player.output.ahead
    for start in range(0, end + FAREWELL * CYCLE, CYCLE):
        if start >= end and request.loop:  # where there is none it ends by itself, with the notes that end there
            player.stop()
        for time, port, data in player.cycle(start, start + CYCLE):
            tick = player.timebase.tick(begin + min(time, end) - player.output.ahead)
            track = "sync" if port == SYNC else tracks.get(data[0] & 0x0F, "") if data[0] < SYSTEM_EXCLUSIVE else "all"
            yield Rehearsed(time / NANOSECONDS, tick, track, data)
