"""The music of a stream: its bars as the player knows them, and who plays what on which channel.

A take is played from its MIDI file, event by event, as projects are written from it: what somebody edited in a DAW
sounds as it was edited. Every event keeps its own time, also where it is off the grid that bars are counted in.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from cmt_bridge.core.instruments import PARTS, Instrument, instrument_of
from cmt_bridge.core.score import Score
from cmt_bridge.core.tempo import TICKS_PER_BAR, TICKS_PER_QUARTER, TempoMap
from cmt_bridge.live.controls import Controls
from cmt_bridge.live.request import TRACKS
from cmt_bridge.live.sheet import Entries, Sheet
from cmt_bridge.midi.events import DRUM_CHANNEL, NOTE_ON, SYSEX, number, releases, strikes
from cmt_bridge.outputs.edited import read_edited
from cmt_bridge.player.order import CONTROLS as CONTROLS_PORT
from cmt_bridge.player.order import MUSIC, SYNC_IN, SYNC_OUT, Picture, Track
from cmt_bridge.player.sequencer import LIFT
from cmt_bridge.projects.arrangement import Part, Sounding, Version, version_of

if TYPE_CHECKING:
    from cmt_bridge.takes.take import Take

__all__ = ["Music"]

END_OF_SYSEX: Final = 0xF7
CHANNELS: Final = range(16)
BEFORE: Final = 1e-6  # of a tick; what is on the line at which the piece ends is played right before it
OWN_PORTS: Final = (MUSIC, SYNC_IN, SYNC_OUT, CONTROLS_PORT)
PLAYERS: Final = {track.name: frozenset((track.channel,)) for track in TRACKS}


def _picture(score: Score) -> Picture:
    return Picture(score.frame_rate, score.timecode, score.duration)


@dataclass(frozen=True)
class Music:
    """What is played: `bars` from 0 on, `length` many; `players` are the channels of each of the five instruments.

    `tracks` are all that play, with the five among them.
    """

    title: str
    tempo_map: TempoMap
    picture: Picture
    length: int
    bars: Sequence[tuple[int, Entries]]
    tracks: tuple[Track, ...] = TRACKS
    players: Mapping[str, frozenset[int]] = field(default_factory=lambda: PLAYERS)

    @classmethod
    def of_score(cls, score: Score) -> Music:
        """Take the notes of a score."""
        return cls(score.title, score.tempo_map, _picture(score), score.bars, Sheet.of(score))

    @classmethod
    def of_take(cls, take: Take) -> Music:
        """Take all that the MIDI file of a take says. Raises `ScoreError`, `MidiError` where it cannot be read."""
        score, version = take.score(), version_of(take.midi, f"take {take.number}")
        tempo_map = read_edited(take.midi).tempo_map
        clock = _Clock(version, tempo_map)
        entries = list(_entries(version, clock))
        last = max((entry[0] + (entry[1] if _is_note(entry) else 0) for entry in entries), default=0)
        length = max(score.bars, -int(-last // TICKS_PER_BAR))
        players = _players(version)
        return cls(
            score.title,
            tempo_map,
            _picture(score),
            length,
            _barred(entries, length),
            _tracks(version, players),
            players,
        )

    def silent(self, controls: Controls) -> frozenset[int]:
        """Return the channels that are not heard: those of muted instruments, and of all that is not soloed."""
        found = self._channels(controls.muted)
        if controls.soloed:
            everybody = frozenset(track.channel for track in self.tracks) | self._channels(self.players)
            found |= everybody - self._channels(controls.soloed)
        return found

    @cached_property
    def told(self) -> frozenset[int]:
        """The channels that the music tells what program they play."""
        messages = (entry[1] for _, entries in self.bars for entry in entries if not _is_note(entry))
        return frozenset(int(said[1], 16) for said in messages if said[0] == "c") | {DRUM_CHANNEL}

    def channel_of(self, channel: int) -> int:
        """Return the channel on which the instrument plays that is composed on one."""
        name = next((track.name for track in TRACKS if track.channel == channel), "")
        return min(self.players.get(name, ()), default=channel)

    def on_grid(self, bars: Iterable[tuple[int, Entries]]) -> list[tuple[int, Entries]]:
        """Return bars as the composer hears them: the five instruments on the grid, each on its own channel."""
        own = {
            channel: PARTS[Instrument[name.upper()]].channel
            for name, those in self.players.items()
            for channel in those
        }
        found = []
        for bar, entries in bars:
            notes: dict[tuple[int, int, int], list[Any]] = {}
            for tick, duration, channel, pitch, velocity, *_ in filter(_is_note, entries):
                if channel in own:
                    onset = min(round(tick), (bar + 1) * TICKS_PER_BAR - 1)
                    notes[onset, own[channel], pitch] = [onset, max(1, round(duration)), own[channel], pitch, velocity]
            found.append((bar, [notes[place] for place in sorted(notes)]))
        return found

    def _channels(self, names: Iterable[str]) -> frozenset[int]:
        return frozenset(channel for name in names for channel in self.players.get(name, ()))


class _Clock:
    """Give the tick of the grid, fractions and all, at a file tick, so that each event comes at its time."""

    def __init__(self, version: Version, tempo_map: TempoMap) -> None:
        self._scale = Fraction(TICKS_PER_QUARTER, version.division)
        self._tempo_map = tempo_map
        self._tempos = version.tempos
        micros = Fraction(1, 1_000_000 * version.division)
        self._seconds = [Fraction(0)]
        for (tick, uspq), (after, _) in pairwise(version.tempos):
            self._seconds.append(self._seconds[-1] + (after - tick) * uspq * micros)
        self._micros = micros
        self._bent = {int(tick * self._scale) for tick, _ in version.tempos if (tick * self._scale).denominator > 1}

    def tick(self, file_tick: int) -> float:
        """Within a sixteenth in which the tempo changes it is the time that decides."""
        tick = file_tick * self._scale
        if tick.denominator > 1 and int(tick) in self._bent:
            index = max(place for place, (start, _) in enumerate(self._tempos) if start <= file_tick)
            start, uspq = self._tempos[index]
            tick = self._tempo_map.ticks(self._seconds[index] + (file_tick - start) * uspq * self._micros)
        return int(tick) if tick.denominator == 1 else float(tick)


def _entries(version: Version, clock: _Clock) -> Iterator[list[Any]]:
    """Yield notes and other messages of all parts in the order of the file; system exclusives are whole, or nothing."""
    packets: dict[int, bytes] = {}  # of a system exclusive that is not whole yet, by part
    placed = [(tick, part, message) for part in version.parts for tick, message in part.events]
    sounding = {id(part): _struck(part) for part in version.parts}
    lifts = {
        id(part): {(t, m[1]): m[2] if m[0] < NOTE_ON else LIFT for t, m in part.events if releases(m)}
        for part in version.parts
    }
    for tick, part, message in sorted(placed, key=lambda each: each[0]):
        start = clock.tick(tick)
        if strikes(message):
            waiting = sounding[id(part)][tick, message[1], message[2]]
            if waiting:
                note = waiting.popleft()
                end = clock.tick(max(note.end, note.start + 1))
                lift = lifts[id(part)].get((note.end, note.pitch), LIFT)
                usual = [start, end - start, note.channel, note.pitch, note.velocity]
                yield usual if lift == LIFT else [*usual, lift]
        elif releases(message):
            continue
        elif message[0] < SYSEX:
            yield [start, message.hex()]
        elif message[0] == SYSEX or id(part) in packets:
            whole = packets.pop(id(part), b"") + _wire(message)
            if whole[-1] == END_OF_SYSEX:
                yield [start, whole.hex()]
            else:
                packets[id(part)] = whole


def _wire(message: bytes) -> bytes:
    """Return a system exclusive, or a packet that goes on with one, as it goes over a wire: without the file's
    length.
    """
    _, at = number(message, 1)
    return (message[:1] if message[0] == SYSEX else b"") + message[at:]


def _struck(part: Part) -> dict[tuple[int, int, int], deque[Sounding]]:
    """Return the notes of a part by what strikes them."""
    found: dict[tuple[int, int, int], deque[Sounding]] = defaultdict(deque)
    for note in part.notes:
        found[note.start, note.pitch, note.velocity].append(note)
    return found


def _is_note(entry: Sequence[Any]) -> bool:
    return not isinstance(entry[1], str)


def _barred(entries: Iterable[list[Any]], length: int) -> list[tuple[int, Entries]]:
    """Return entries by their bars, empty ones too."""
    found: dict[int, Entries] = {bar: [] for bar in range(length)}
    last = length * TICKS_PER_BAR
    for entry in entries:
        if not _is_note(entry) and entry[0] >= last:
            entry[0] = last - BEFORE
        bar = int(entry[0] // TICKS_PER_BAR)
        if bar < length:
            found[bar].append(entry)
    return list(found.items())


def _instrument(part: Part) -> Instrument | None:
    return instrument_of(part.program, is_drum=part.is_drums, name=part.name)


def _players(version: Version) -> dict[str, frozenset[int]]:
    """Return the channels of each of the five, and its own where no part plays it and nobody else is there."""
    found: dict[str, set[int]] = {track.name: set() for track in TRACKS}
    taken = {part.channel for part in version.parts}
    for part in version.parts:
        instrument = _instrument(part)
        if instrument is not None:
            found[instrument.name.lower()].add(part.channel)
    for track in TRACKS:
        if not found[track.name]:
            free = [track.channel, *(each for each in reversed(CHANNELS) if each != DRUM_CHANNEL)]
            channel = next((each for each in free if each not in taken), track.channel)
            found[track.name].add(channel)
            taken.add(channel)
    return {name: frozenset(channels) for name, channels in found.items()}


def _tracks(version: Version, players: Mapping[str, frozenset[int]]) -> tuple[Track, ...]:
    """Return a track for each channel: the five by their names, others by what the file calls them."""
    found = {min(channels): name for name, channels in reversed(list(players.items()))}
    names = {*players, *OWN_PORTS}
    for part in version.parts:
        if part.channel not in found:
            name = "".join(c if c.isprintable() and c != ":" else " " for c in part.name).strip() or "track"
            while name in names:
                name += " +"
            names.add(name)
            found[part.channel] = name
    return tuple(Track(name, channel, None) for channel, name in sorted(found.items(), key=lambda each: each[0]))
