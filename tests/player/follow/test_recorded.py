"""What a real Ardour sent, recorded sample by sample, is followed to where Ardour was.

`recorded/*.json` have messages as (frame, stream, bytes), and as truth the stretches in which Ardour's own notes came:
the frames of the first and the last of them, and the sample of the session at the first.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.player.follow import Follower, follower
from cmt_bridge.player.motion import Motion
from cmt_bridge.player.order import FOLLOWS
from cmt_bridge.player.timebase import Timebase

FOLDER = Path(__file__).with_name("recorded")
PERIOD = 256
STEP = 240  # frames from one look at the motion to the next
RIGHT = 0.030  # s
FIRST = 0.050  # s from the first quarter frame to the first right position
COLD = 16  # quarter frames, where nothing was heard before: the rest of a torn set of eight, and then all of one
TAIL = 0.060  # s
PAUSE = 1500  # frames without a message, where it had stopped
SAMPLES_PER_SIXTEENTH = 6000  # of Ardour's session
OTHER_TEMPO = 100  # than Ardour's

PRECISE: dict[str, float] = {"loop": 0.006, "rate_29.97": 0.003, "rate_23.976": 0.003}
"""In seconds, where it is not half a millisecond: in a loop Ardour's own notes are 5 ms away from its timecode."""


@dataclass(frozen=True)
class Recording:
    rate: int
    end: int
    rolls: Sequence[tuple[int, int, int]]
    messages: Sequence[tuple[int, str, bytes]]


def recording(name: str) -> Recording:
    said = json.loads((FOLDER / f"{name}.json").read_text())
    messages = [(frame, stream, bytes.fromhex(data)) for frame, stream, data in said["messages"]]
    return Recording(said["rate"], said["end"], [tuple(each) for each in said["rolls"]], messages)


def motions(followed: Follower, heard: Recording, streams: Sequence[str]) -> list[tuple[int, Motion]]:
    """Give the motion from each frame time on, as a player with JACK's periods would have it."""
    left = [message for message in heard.messages if message[1] in streams]
    found = [(0, Motion(0, 0.0))]
    for start in range(0, heard.end + heard.rate, PERIOD):
        while left and left[0][0] < start + PERIOD:
            frame, _, data = left.pop(0)
            found += [(frame, change.motion) for change in followed.receive(data, frame)]
        found += [(start, change.motion) for change in followed.poll(start)]
    return found


def at(found: Sequence[tuple[int, Motion]], frame: int) -> Motion:
    return [motion for since, motion in found if since <= frame][-1]


def follow(name: str, kind: str, streams: Sequence[str]) -> tuple[Recording, list[tuple[int, Motion]], Follower]:
    heard = recording(name)
    timebase = Timebase(FOLLOWS[kind], TempoMap.constant(OTHER_TEMPO))
    followed = follower(kind, rate=heard.rate, timebase=timebase)
    return heard, motions(followed, heard, streams), followed


def samples(kind: str, position: float, rate: int) -> float:
    """Give the sample of Ardour's session at a position."""
    return position * SAMPLES_PER_SIXTEENTH if kind != "mtc" else position * rate / 1e9


def errors(
    found: Sequence[tuple[int, Motion]], kind: str, stretch: tuple[int, int, int], rate: int
) -> dict[int, float]:
    """Give by how many seconds the motion is off in a stretch, where it rolls."""
    first, last, sample = stretch
    off = {}
    for frame in range(first, last, STEP):
        motion = at(found, frame)
        if motion.is_rolling:
            off[frame] = (samples(kind, motion.position_at(frame), rate) - sample - frame + first) / rate
    return off


def beginnings(frames: Sequence[int]) -> list[int]:
    """Give the first frame of each row of those that come one soon after the other."""
    return [frame for before, frame in pairwise([-PAUSE, *frames]) if frame - before >= PAUSE]


NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))


@pytest.mark.parametrize("streams", [["mtc"], ["mtc", "mmc"]], ids="+".join)
@pytest.mark.parametrize("name", NAMES)
def test_by_timecode_the_player_is_where_ardour_is(name: str, streams: list[str]) -> None:
    heard, found, followed = follow(name, "mtc", streams)
    rate = heard.rate
    quarters = [frame for frame, _, data in heard.messages if data[0] == 0xF1]
    known = any(data[0] == 0xF0 and data[3:5] == b"\x01\x01" for _, _, data in heard.messages[:5])
    for stretch in heard.rolls:
        told = max(frame for frame in beginnings(quarters) if frame <= stretch[1])
        off = errors(found, "mtc", stretch, rate)
        first = next(frame for frame, error in off.items() if abs(error) < RIGHT)
        patience = FIRST * rate if known else COLD * (quarters[1] - quarters[0]) + STEP
        assert first - max(told, stretch[0]) <= patience
        worst = max(abs(error) for frame, error in off.items() if frame >= first)
        assert worst < PRECISE.get(name, 0.0005)
        known = True
    assert not followed.state["rolling"]


@pytest.mark.parametrize("name", ["play_stop_locate", "loop"])
def test_by_clock_the_player_is_where_ardour_is(name: str) -> None:
    heard, found, followed = follow(name, "ardour-clock", ["clock"])
    clocks = [frame for frame, stream, data in heard.messages if stream == "clock" and data == b"\xf8"]
    for stretch in heard.rolls:
        told = max(frame for frame in beginnings(clocks) if frame <= stretch[1])
        off = errors(found, "ardour-clock", stretch, heard.rate)
        first = next(frame for frame, error in off.items() if abs(error) < RIGHT)
        assert first - max(told, stretch[0]) <= STEP
        late = [abs(error) for frame, error in off.items() if frame >= first]
        assert max(late) < 0.010  # the first clock does not tell the tempo yet
        assert max(late[24:]) < PRECISE.get(name, 0.0005)
    assert not followed.state["rolling"]


@pytest.mark.parametrize(
    ("name", "kind", "streams"),
    [*((name, "mtc", ["mtc", "mmc"]) for name in NAMES), ("play_stop_locate", "ardour-clock", ["clock"])],
)
def test_where_ardour_stands_the_player_stands(name: str, kind: str, streams: list[str]) -> None:
    heard, found, _ = follow(name, kind, streams)
    sync = [frame for frame, _, data in heard.messages if data[0] in (0xF1, 0xF8)]
    for before, after in zip(sync, [*sync[1:], heard.end + heard.rate], strict=True):
        for frame in range(before + round(TAIL * heard.rate), after, STEP):
            assert not at(found, frame).is_rolling


def test_speed_decides_the_rate_timecode_leaves_open() -> None:
    for name, rate in (("rate_29.97", "29.97"), ("rate_23.976", "23.976"), ("rate_24", "24"), ("rate_25", "25")):
        _, _, followed = follow(name, "mtc", ["mtc"])
        assert followed.state["rate"] == rate
