"""The output queue: when each message is handed to the device, and what sounds because of it.

A track that sounds late is given its messages early by as much. What waits for its time is dropped when the music is
cut, and every note that went out is ended.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from heapq import heappop, heappush
from typing import Final

from cmt_bridge.player.active_notes import CHANNELS, ActiveNotes
from cmt_bridge.player.controller_state import ControllerState
from cmt_bridge.player.sequencer import FLUSH, KEY_BITS, STOP, Sequencer

__all__ = ["Due", "OutputQueue"]

KIND, WHOSE, STATUS = 0xF0, 0x0F, 0x80
NOTE_ON, NOTE_OFF, CONTROLLER = 0x90, 0x80, 0xB0
SUSTAIN, ALL_SOUND_OFF, ALL_NOTES_OFF = 64, 120, 123
LATEST: Final = 0.030  # s; a note that would come later than this after its time is not struck any more
DOUBT: Final = 0.3  # s, for which a note counts as one that may hang after its end: a kill can cost periods before it
GAP: Final = 0.250  # s; where the device was away for longer, the music is entered anew

Due = tuple[int, bytes]
"""Device time, and a message."""


class OutputQueue:
    """Take events from a sequencer and give them when they are due at the device.

    `latency` is, by channel, in units of device time (1/`rate` s), how late a track sounds. `channels` are those that
    are played.
    """

    def __init__(
        self,
        sequencer: Sequencer,
        ledger: ActiveNotes,
        rate: int,
        *,
        latency: Mapping[int, int] | None = None,
        channels: Iterable[int] = range(CHANNELS),
    ) -> None:
        self.sequencer = sequencer
        self.sent = 0
        """Notes that went out."""
        self._late = 0
        self._ledger = ledger
        self._latest = int(LATEST * rate)
        self._gap = int(GAP * rate)
        self._latency = [dict(latency or {}).get(channel, 0) for channel in range(CHANNELS)]
        self._channels = tuple(sorted(channels))
        self._ahead = max(0, *self._latency)
        self._muted: frozenset[int] = frozenset()
        self._hushed: list[int] = []  # keys that a mute has ended
        self._until: int | None = None
        self._waiting: list[tuple[int, int, int, int, bytes]] = []
        """Time, when it was due, 0 for a cut, serial, message or channel of a cut."""
        self._serial = 0
        self._soonest = [0] * CHANNELS  # since the last cut of a channel, nothing of it is due before that
        self._outdated = [0] * CHANNELS  # serials up to which it takes back what waits
        self._sounding: dict[int, None] = {}
        self._setting = ControllerState()  # as what went out has left it
        self._ended: deque[tuple[int, int]] = deque()  # device time and key of the ends that were given of late
        self._doubt = int(DOUBT * rate)

    @property
    def ahead(self) -> int:
        """By how much device time the music is looked at early; whoever starts it does so later by that."""
        return self._ahead

    @property
    def muted(self) -> frozenset[int]:
        """The channels that are silent."""
        return self._muted

    @property
    def late(self) -> int:
        """Notes that went out after their time, or were left out since it was too late for them."""
        return self._late + self.sequencer.passed

    @property
    def sounding(self) -> int:
        """How many notes sound."""
        return len(self._sounding)

    def mute(self, channels: frozenset[int]) -> None:
        """Let these channels be silent, and no others; what sounds on them ends at once."""
        self._muted = channels
        for key in tuple(self._sounding):
            if key >> KEY_BITS in channels:
                del self._sounding[key]
                self._hushed.append(key)

    def due(self, start: int, until: int) -> list[Due]:
        """Return what goes to the device from `start` on and before `until`, in order of time.

        What was due before `start` comes then, but notes that are too late by 30 ms are left out. Where more than
        250 ms passed since the last call, the music is entered anew. Device time may only run back with a jump.
        """
        if self._ended:
            self._forget(start - self._doubt)
        if self._until is not None and start - self._until > self._gap:
            self.sequencer.skip(start)
        self._until = until
        out: list[Due] = []
        if self._hushed:
            out = [(start, _off(key)) for key in self._hushed]
            self._ended += [(start, key) for key in self._hushed]
            self._hushed.clear()
        for time, message in self.sequencer.render(until + self._ahead):
            self._serial += 1
            if message in (FLUSH, STOP):
                self._cut(start, time, message)
            else:
                channel = message[0] & WHOSE
                due = time - self._latency[channel]
                at = max(due, self._soonest[channel])
                # A cut that comes as late takes back notes, but no setting that was due before it.
                is_note = message[0] & KIND in (NOTE_ON, NOTE_OFF)
                heappush(self._waiting, (at, at if is_note else due, 1, self._serial, message))
        if self._waiting and self._waiting[0][0] < until:
            self._move(start, until, out)
        return out

    def settle(self) -> None:
        """Know that all that was given has arrived; to be called after the last of it."""
        self._forget(None)

    def _forget(self, before: int | None) -> None:
        """Let the active notes know of the ends given before a device time, of all where it is None."""
        ended = self._ended
        while ended and (before is None or ended[0][0] < before):
            _, key = ended.popleft()
            if key not in self._sounding and key not in self._hushed:
                self._ledger.discard(key)

    def clear(self) -> list[bytes]:
        """Return what ends every note that somebody before left hanging on this port; to be sent before all else."""
        hanging = self._ledger.hanging
        self._ended += [(self._until or 0, key) for key in hanging]
        channels = sorted({*self._channels, *(key >> KEY_BITS for key in hanging)})
        return [*(_off(key) for key in hanging), *_controllers(channels, SUSTAIN, ALL_NOTES_OFF)]

    def silence(self, *, panic: bool = False) -> list[bytes]:
        """Return what ends every note that sounds: explicitly, then by controller; with `panic` all sound at
        once too.
        """
        keys = [*self._hushed, *self._sounding]
        self._waiting.clear()
        self._hushed.clear()
        self._sounding.clear()
        self._ended += [(self._until or 0, key) for key in keys]
        last = (SUSTAIN, ALL_NOTES_OFF, ALL_SOUND_OFF) if panic else (SUSTAIN, ALL_NOTES_OFF)
        lifts = [lift for channel in range(CHANNELS) for lift in self._lifted(channel)]
        return [*lifts, *(_off(key) for key in keys), *_controllers(self._channels, *last)]

    def _cut(self, start: int, time: int, how: bytes) -> None:
        for channel in range(CHANNELS):
            due = time - self._latency[channel]
            self._soonest[channel] = at = max(start, due)
            heappush(self._waiting, (at, due, 0, self._serial, bytes((channel,)) + how))

    def _move(self, start: int, until: int, out: list[Due]) -> None:
        """Move on what is due before a device time."""
        waiting, sounding, outdated = self._waiting, self._sounding, self._outdated
        while waiting and waiting[0][0] < until:
            at, _, _, serial, message = heappop(waiting)
            kind, channel = message[0] & KIND, message[0] & WHOSE
            if serial < outdated[channel]:
                continue
            if message[0] < STATUS:
                outdated[channel] = serial
                self._end_channel(max(start, at), channel, out, halts=message[1:] == STOP)
                continue
            if kind == NOTE_ON:
                if channel in self._muted:
                    continue
                if at < start:
                    self._late += 1
                    if start - at > self._latest:
                        continue
                key = channel << KEY_BITS | message[1]
                self._ledger.add(key)
                sounding[key] = None
                self.sent += 1
            elif kind == NOTE_OFF:
                key = channel << KEY_BITS | message[1]
                if key not in sounding:
                    continue
                del sounding[key]
                self._ended.append((at, key))
            else:
                self._setting.update(message)
            out.append((at if at > start else start, message))

    def _end_channel(self, time: int, channel: int, out: list[Due], *, halts: bool) -> None:
        for key in [key for key in self._sounding if key >> KEY_BITS == channel]:
            del self._sounding[key]
            self._ended.append((time, key))
            out.append((time, _off(key)))
        if halts:
            out += [(time, lift) for lift in self._lifted(channel)]
        if halts and channel in self._channels:
            out.append((time, _controllers((channel,), ALL_NOTES_OFF)[0]))

    def _lifted(self, channel: int) -> list[bytes]:
        """Return what lifts the pedals of a channel, and know that they are up."""
        lifts = [lift for lift in self._setting.lifts() if lift[0] & WHOSE == channel]
        for lift in lifts:
            self._setting.update(lift)
        return lifts


def _off(key: int) -> bytes:
    return bytes((NOTE_OFF | key >> KEY_BITS, key & 0x7F, 64))


def _controllers(channels: Iterable[int], *controllers: int) -> list[bytes]:
    return [bytes((CONTROLLER | channel, each, 0)) for channel in channels for each in controllers]
