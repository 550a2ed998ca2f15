"""The player: sequencer, outlet, who is followed and who is led, in one cycle that a device calls again and again."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from cmt_bridge.core.tempo import TICKS_PER_BAR
from cmt_bridge.player.active_notes import CHANNELS, ActiveNotes
from cmt_bridge.player.follow import Follower, follower
from cmt_bridge.player.lead import Leader, leader
from cmt_bridge.player.motion import Change
from cmt_bridge.player.order import Order
from cmt_bridge.player.output_queue import OutputQueue
from cmt_bridge.player.sequencer import Bar, Program, Sequencer
from cmt_bridge.player.timebase import Timebase
from cmt_bridge.player.transport import Transport

__all__ = ["SYNC", "Player", "Sent"]

SYNC = -1
MOST_COMMANDS = 64  # carried out in one cycle
CONTROLLER = 0xB0
WHOSE = 0x0F

Sent = tuple[int, int, bytes]
"""Device time, port (`SYNC`, or the number of a music port), message."""

Command = Callable[[int], None]
"""Carried out at the beginning of a cycle, with its device time."""


class Player:
    """Play what it is fed; a device calls `cycle` for one stretch of time after the other, without a gap.

    `rate` is how many units of device time a second has. Everything but `post` and reading is for the device's thread.
    """

    def __init__(self, order: Order, rate: int, ledger: ActiveNotes) -> None:
        self.order = order
        self.rate = rate
        self.timebase = Timebase(order.domain, order.tempo_map)
        programs = [Program(track.channel, track.program) for track in order.tracks if track.program is not None]
        self.sequencer = Sequencer(self.timebase, chase=order.chase, programs=programs)
        latency = {track.channel: round(order.latency_of(track) * rate / 1000) for track in order.tracks}
        channels = [track.channel for track in order.tracks]
        self.output = OutputQueue(self.sequencer, ledger, rate, latency=latency, channels=channels)
        self.follower: Follower | None = None
        followed = order.follow or ("jack" if "jack" in order.lead else "")  # whose transport we lead we follow too
        if followed:
            self.follower = follower(
                followed, rate=rate, timebase=self.timebase, start=order.start, picture=order.picture
            )
        self.leaders: list[Leader] = [
            leader(kind, rate=rate, timebase=self.timebase, start=order.start, picture=order.picture)
            for kind in order.lead
            if kind != "jack"
        ]
        self.underruns = 0
        self.time = 0
        """The device time up to which all was given."""
        self.controls: deque[tuple[int, int, int]] = deque(maxlen=256)
        """Channel, controller and value of what was moved, for whoever reads them."""
        self.missing: deque[int] = deque(maxlen=256)
        """The bars that were not there in time, for whoever reads them."""
        self.notes: deque[str] = deque(maxlen=256)
        """What happened to who is followed, for whoever reads it."""
        self.closed = threading.Event()
        self.wake: Callable[[], None] = lambda: None
        """Called when something was posted."""
        self._transport = Transport(self.timebase, rate)
        self._commands: deque[Command] = deque()
        numbers = {track.channel: number for number, track in enumerate(order.tracks)} if order.split else {}
        self._ports = [numbers.get(channel, 0) for channel in range(CHANNELS)]
        self._waiting: list[Sent] = []
        self._turns: list[tuple[Change, str]] = []
        self._closing = False

    # From other threads

    def post(self, command: Command) -> None:
        """Have something done at the beginning of the next cycle."""
        self._commands.append(command)
        self.wake()

    @property
    def behind(self) -> int:
        """How many things are to be done at the beginning of the next cycle."""
        return len(self._commands)

    def feed(self, bars: Iterable[Bar]) -> None:
        """Have bars from now on."""
        for bar in bars:
            self.post(lambda _, bar=bar: self.sequencer.feed(bar))  # type: ignore[misc]

    def end(self, bars: int | None) -> None:
        """Know the length of the piece."""
        self.post(lambda _: self.sequencer.end(bars))

    def play(self) -> None:
        """Roll, where nobody else leads."""
        self.post(self._play)

    def stop(self) -> None:
        """Stand, where nobody else leads."""
        self.post(self._stop)

    def locate(self, tick: int) -> None:
        """Go to a tick, where nobody else leads."""
        self.post(lambda time: self._locate(tick, time))

    def loop(self, bars: tuple[int, int] | None) -> None:
        """Repeat some bars, where nobody else leads."""
        self.post(lambda _: self.sequencer.loop(bars if self.follower is None else None))

    def mute(self, channels: frozenset[int]) -> None:
        """Let these channels be silent, and no others."""
        self.post(lambda _: self.output.mute(channels))

    def panic(self) -> None:
        """End whatever sounds, by all means."""
        self.post(lambda time: self._send(time, self.output.silence(panic=True)))

    def clear(self) -> None:
        """End what a player before this one left hanging."""
        self.post(lambda time: self._send(time, self.output.clear()))

    def close(self) -> None:
        """End what sounds and play no more; `closed` is set when a cycle has given the last message."""
        self.post(self._close)

    def settle(self) -> None:
        """Know that the last message has left; to be called after `closed` is set and the device is done with it."""
        self.output.settle()

    def state(self) -> dict[str, Any]:
        """Return where the music is and how it fares."""
        sequencer = self.sequencer
        tick = sequencer.tick(self.time)
        bar = int(tick // TICKS_PER_BAR)
        return {
            "rolling": sequencer.motion_at(self.time).is_rolling,
            "bar": bar,
            "tick": round(tick, 3),
            "tempo": round(self._tempo(), 3),
            "in_hand": sequencer.bars_after(max(0, bar)),
            "underruns": self.underruns,
            "late": self.output.late,
            "sent": self.output.sent,
            "sounding": self.output.sounding,
            "loop": list(sequencer.looping) if sequencer.looping else None,
            "follow": self.follower.state if self.follower is not None else None,
        }

    # In the device's thread

    def cycle(self, start: int, until: int) -> Sequence[Sent]:
        """Return what goes out from `start` on and before `until`, in order of time."""
        commands = self._commands
        for _ in range(min(len(commands), MOST_COMMANDS)):
            commands.popleft()(start)
        if self._closing:
            self._closing = False
            out, self._waiting = self._waiting, []
            self.closed.set()
            return out
        if self.follower is not None:
            self._follow(self.follower.poll(start))
        waiting, ports = self._waiting, self._ports
        for time, message in self.output.due(start, until):
            waiting.append((time, ports[message[0] & WHOSE], message))
        self._notice(start)
        if self.leaders:
            self._lead(until)
        self.time = until
        if not waiting:
            return ()
        self._waiting = []
        if self.leaders:
            waiting.sort(key=_time)
        return waiting

    def receive(self, data: bytes, time: int) -> None:
        """Take in a message of the input that is followed."""
        if self.follower is not None:
            self._follow(self.follower.receive(data, time))

    def move(self, rolling: bool, frame: int, bbt: Any, time: int) -> None:
        """Take in where JACK's transport is."""
        if self.follower is not None:
            self._follow(self.follower.move(rolling, frame, bbt, time))

    def control(self, data: bytes) -> None:
        """Take in a message of the input of controllers."""
        if len(data) == 3 and data[0] & 0xF0 == CONTROLLER:
            self.controls.append((data[0] & WHOSE, data[1], data[2]))

    def _tempo(self) -> float:
        motion = self.sequencer.motion_at(self.time)
        if self.order.domain == "beats" and motion.is_rolling:
            return motion.speed * self.rate * 15.0
        return self.timebase.bpm(motion.position_at(self.time))

    def _follow(self, changes: Sequence[Change]) -> None:
        for change in changes:
            before = self.sequencer.motion
            why = (
                ""
                if not change.jump
                else "stop"
                if not change.motion.is_rolling
                else "locate"
                if before.is_rolling
                else "start"
            )
            self._turn(change, why)
            if change.note:
                self.notes.append(change.note)

    def _turn(self, change: Change | None, why: str) -> None:
        if change is None:
            return
        self.sequencer.change(change)
        if self.leaders:
            self._turns.append((change, why))

    def _play(self, time: int) -> None:
        if self.follower is None:
            motion, length = self.sequencer.motion_at(time), self.sequencer.length
            if length is not None and not motion.is_rolling and self.sequencer.tick(time) >= length * TICKS_PER_BAR:
                self._turn(self._transport.locate(motion, 0, time), "locate")
            start = time + self.output.ahead  # so that no track is late with its first notes
            self._turn(self._transport.play(self.sequencer.motion_at(time), start), "start")

    def _locate(self, tick: int, time: int) -> None:
        if self.follower is None:
            self._turn(self._transport.locate(self.sequencer.motion_at(time), tick, time), "locate")

    def _stop(self, time: int) -> None:
        if self.follower is None:
            self._turn(self._transport.stop(self.sequencer.motion_at(time), time), "stop")

    def _send(self, time: int, messages: Iterable[bytes]) -> None:
        self._waiting += [(time, self._ports[message[0] & WHOSE], message) for message in messages]

    def _close(self, time: int) -> None:
        self._turn(self._transport.stop(self.sequencer.motion_at(time), time), "stop")
        self._send(time, [message for _, message in self.output.due(time, time)])  # what was cut
        self._send(time, self.output.silence())
        self._lead(time + 1)
        self._closing = True

    def _notice(self, time: int) -> None:
        """Look at what the sequencer met: bars that were missing, turns of the loop, the end of the piece."""
        sequencer = self.sequencer
        if sequencer.underruns:
            self.underruns += len(sequencer.underruns)
            self.missing.extend(sequencer.underruns)
            sequencer.underruns.clear()
        if sequencer.wraps:
            if self.leaders:
                self._turns += [(change, "loop") for change in sequencer.wraps]
            sequencer.wraps.clear()
        if self.follower is None and sequencer.motion.is_rolling and sequencer.length is not None:
            end = sequencer.length * TICKS_PER_BAR
            if sequencer.looping is None and sequencer.tick(time) >= end and not self.output.sounding:
                self._turn(self._transport.stop(sequencer.motion_at(time), time), "stop")

    def _lead(self, until: int) -> None:
        turns, self._turns = self._turns, []
        for change, why in turns:
            for each in self.leaders:
                self._waiting += [(time, SYNC, message) for time, message in each.change(change, why)]
        for each in self.leaders:
            self._waiting += [(time, SYNC, message) for time, message in each.render(until)]


def _time(sent: Sent) -> int:
    return sent[0]
