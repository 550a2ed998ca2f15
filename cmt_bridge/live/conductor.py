"""The conductor of a stream: what is composed goes to the player, and what is asked for to whom it concerns.

Composer and player are processes of their own; the conductor has the sheet between them, so that either can be started
again where it was. It computes nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from cmt_bridge.config import state_root
from cmt_bridge.core.instruments import PARTS
from cmt_bridge.core.tempo import TICKS_PER_BAR, TempoMap
from cmt_bridge.core.timecode import MIDI, counting_of
from cmt_bridge.errors import CmtBridgeError, InputError, MissingError, OutputError, UsageError
from cmt_bridge.ipc.child import ChildProcess, Inbox
from cmt_bridge.live.controls import ACTIONS, Controls, checked
from cmt_bridge.live.learn import Knob, Learned
from cmt_bridge.live.music import Music
from cmt_bridge.live.request import StreamRequest
from cmt_bridge.live.sheet import Entries, Sheet
from cmt_bridge.player.order import NOTHING, Picture

__all__ = ["COMPOSER", "Conductor", "Lend", "Tell", "held_name", "tick_heard"]

COMPOSER: Final = "cmt_bridge.live.composer"
PLAYER: Final = "cmt_bridge.player"
LOOK_EVERY: Final = 0.3  # s, between two looks at which take is the current one
PROGRAM_CHANGE: Final = 0xC0
AMPLE: Final = 0.6  # of a bar that is left, in which the next one can be composed
BARS_AT_ONCE: Final = 2  # told the player in a line
WAIT_FOR_SERVER: Final = 1.0  # s, between two tries to reach a server of ports that ended
SECONDS_OF_TICK: Final = 15.0  # at 1 BPM
JOIN: Final = 2  # ticks ahead of the music at which a player is put that takes the place of another
GATHER: Final = 0.1  # s, in which turns of a knob are one
FAREWELL: Final = 10.0  # s, for a composer that stays to let go of a piece; it may be loading a model
MOST_NAMES: Final = 16
KEY_DIGITS: Final = 16
MINUTE: Final = 60.0  # s
MOST_ENDS: Final = 6  # of a child within a minute, after which there is no use in starting it again

Message = dict[str, Any]
Tell = Callable[[Message], None]
Lend = Callable[[], Awaitable[ChildProcess]]


def tick_heard(state: Mapping[str, Any], heard_at: float) -> float:
    """Return the tick that is heard at the moment, by a state of the player and when it came, on the monotonic
    clock.
    """
    tick = float(state.get("tick", 0.0))
    if state.get("rolling"):
        tick += (time.monotonic() - heard_at) * float(state["tempo"]) / SECONDS_OF_TICK
    return tick


@contextmanager
def held_name(name: str) -> Iterator[tuple[str, Path]]:
    """Have a name for our ports to ourselves while the body runs: the wanted one, or it with a number.

    With it comes the file where it is written down what sounds on them. Raises `OutputError` where that cannot be.
    """
    folder = state_root() / "live"
    for number in range(1, MOST_NAMES + 1):
        full = name if number == 1 else f"{name} {number}"
        key = hashlib.sha256(full.encode()).hexdigest()[:KEY_DIGITS]
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = FileLock(folder / f"{key}.lock", thread_local=False, fallback_to_soft=False)
            lock.acquire(blocking=False)
        except Timeout:
            continue
        except OSError as error:
            raise OutputError(f"Cannot use {folder}: {error.strerror}.", hint="Check its permissions.") from error
        try:
            yield full, folder / f"{key}.ledger"
        finally:
            lock.release()
        return
    raise UsageError(f"There are {MOST_NAMES} streams named {name} already.", hint="End one, or give another --name.")


class Conductor:
    """Play one stream to its end. `tell` is told what happens, as messages with an `event`.

    `lend` gives a composer that is warm and stays, when one is needed; else one is started, and ended. `learned` are
    the MIDI controllers that move controls.
    """

    def __init__(
        self, request: StreamRequest, tell: Tell, *, lend: Lend | None = None, learned: Learned | None = None
    ) -> None:
        self.request = request
        self.controls = Controls.of(request.mute, request.solo, request.loop)
        self.state: Message = {}
        """What the player said last of where the music is, and what is added to it here."""
        self._tell = tell
        self._inbox: Inbox = asyncio.Queue()
        self._lend = lend
        self._composer: ChildProcess | None = None
        self._player: ChildProcess | None = None
        self._name, self._ledger = request.name, Path()
        self._sheet = Sheet()
        self._music: Music | None = None
        """The take that is played, or was before more was composed."""
        self._tempo_map: TempoMap | None = None
        self._picture = NOTHING
        self._complete = False
        self._take: tuple[Path, int] | None = None
        self._backend = ""  # the one that was found at first is the one that is waited for
        self._stated: int | None = None
        """The length that the file states, while its true one is not known."""
        self._playing = 0
        self._started = False
        self._ended = False
        self._deaths: list[float] = []
        self._restarts = {"player": 0, "composer": 0}
        self._heard_at = 0.0
        self._resume: tuple[bool, float, float] | None = None  # whether it rolled, where it was, and when
        self._learned = learned
        self._composing: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Play until it has ended or is stopped. Raises what keeps it from being played."""
        with held_name(self.request.name) as (self._name, self._ledger):
            if self.controls != Controls():
                self._tell({"event": "controls", **self.controls.to_json()})
            try:
                self._player = await ChildProcess.start("player", PLAYER, self._inbox)
                await self._begin()
                self._do(self._watch())
                await self._serve()
            finally:
                if self._composing is not None:
                    self._composing.cancel()
                for task in self._tasks:
                    task.cancel()
                await self._end()

    def stop(self) -> None:
        """Begin to end."""
        self._stopping.set()

    def turn(self, wanted: Mapping[str, Any]) -> Message:
        """Set controls, and do what is asked for; return how they stand. Raises `UsageError` for what cannot be set."""
        wanted = checked(wanted)
        before, self.controls = self.controls, self.controls.turned(wanted)
        for name in ACTIONS:
            if name in wanted:
                self._act(name, wanted[name])
        if self._silent(self.controls) != self._silent(before):
            self._to_player("mute", channels=sorted(self._silent(self.controls)))
        if self.controls.loop != before.loop:
            self._to_player("loop", bars=list(self.controls.loop) if self.controls.loop else None)
        if self.controls.composing != before.composing and self._composing is None:
            self._composing = asyncio.get_running_loop().call_later(GATHER, self._compose_anew)
        if self.controls != before:
            self._tell({"event": "controls", **self.controls.to_json()})
        return self.controls.to_json()

    def learn(self, name: str) -> None:
        """Have a control moved by the next MIDI controller that is moved. Raises `UsageError` where it cannot be."""
        if self._learned is None:
            raise UsageError("Nothing can be learned here.", hint="Use `cmt-bridge stream --learn`.")
        self._learned.learn(name)

    @property
    def position(self) -> float:
        """The tick that is heard at the moment, as far as that can be known."""
        return tick_heard(self.state, self._heard_at)

    # The piece

    async def _begin(self) -> None:
        """Find the take to play, or have one composed."""
        music = None if self.request.fresh or self.request.endless else await asyncio.to_thread(self._current)
        if music is None:
            await self._compose([])
            return
        self._music = music
        self._tempo_map, self._picture = music.tempo_map, music.picture
        self._sheet.put(music.bars)
        self._sheet.length = music.length
        self._complete = True
        self._tell(
            {
                "event": "picture",
                "title": music.title,
                "bars": music.length,
                "tempo": music.tempo_map.bpm_at(0),
                "take": self._take[1] if self._take else None,
                "notes": self._labels(),
            }
        )
        self._open_player()

    def _labels(self) -> list[str]:
        """Return how MTC counts the film, where it is told to others and does not know the film's rate."""
        if not {"mtc", "mmc"} & set(self.request.lead):
            return []
        with suppress(UsageError):  # the player refuses a start that is none
            counting = counting_of(self._picture.frame_rate, self._picture.timecode, start=self.request.start)
            return list(counting.told("MTC", MIDI))
        return []

    def _current(self) -> Music | None:
        """Read the music of the current take, where there is one. Raises `ScoreError`, `MidiError`."""
        from cmt_bridge.takes.locate import find_take_folder

        project = find_take_folder(self.request.path)
        if project is None:
            if not self.request.path.exists():
                raise InputError(f"There is no {self.request.path}.", hint="Check its name.")
            return None
        take = project.current()
        self._take = project.folder, take.number
        return Music.of_take(take)

    async def _watch(self) -> None:
        """Look again and again whether another take has become the current one, and go over to it."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            if not self._complete or self._take is None:
                continue
            before = self._take
            with suppress(CmtBridgeError, OSError):
                number = await asyncio.to_thread(self._number)
                if number is None or number == before[1]:
                    continue
                music = await asyncio.to_thread(self._current)
                if music is not None and self._complete:
                    self._go_over(music)

    def _number(self) -> int | None:
        from cmt_bridge.takes.take_folder import TakeFolder

        assert self._take is not None
        now = TakeFolder(self._take[0]).history().now
        return now.current if now is not None else None

    def _go_over(self, music: Music) -> None:
        assert self._take is not None
        if music.tempo_map != self._tempo_map:
            text = f"Take {self._take[1]} has another tempo: start the stream anew to hear it."
            self._tell({"event": "note", "text": text})
            return
        silent = self._silent(self.controls)
        self._music = music
        changed = self._sheet.put(music.bars)
        changed += self._sheet.put((bar, []) for bar in range(music.length, self._sheet.length or 0))
        self._sheet.length = music.length
        self._feed(changed)
        self._to_player("end", bars=music.length)
        if self._silent(self.controls) != silent:
            self._to_player("mute", channels=sorted(self._silent(self.controls)))
        self._tell({"event": "take", "take": self._take[1], "bars": sorted(bar for bar, _ in changed)})

    # Composing

    async def _compose(self, bars: list[tuple[int, Any]]) -> None:
        """Have what comes after some bars composed."""
        self._complete = False
        composer = self._composer
        if composer is None or not composer.is_running:
            if self._lend is not None:
                composer = await self._lend()
                composer.redirect(self._inbox)
            else:
                composer = await ChildProcess.start("composer", COMPOSER, self._inbox)
            self._composer = composer
        request = self.request
        settings = dict(request.settings)
        density, control, seed = self.controls.composing
        if control is not None:
            settings["control"] = f"{control:g}"
        if seed is not None:
            settings["seed"] = str(seed)
        if self._tempo_map is not None:
            settings["tempo"] = f"{self._tempo_map.bpm_at(0):.9g}"
        composer.order(
            "open",
            path=str(request.path.absolute()),
            settings=settings,
            density=density,
            endless=request.endless,
            hear=[[bar, notes] for bar, notes in (self._music.on_grid(bars) if self._music is not None else bars)],
        )

    def _compose_anew(self) -> None:
        """Have what comes composed as the controls stand now."""
        self._composing = None
        tick = self.position
        bar = max(0, int(tick // TICKS_PER_BAR))
        left = 1.0 - tick / TICKS_PER_BAR % 1.0 if self.state.get("rolling") else 1.0
        density, control, seed = self.controls.composing
        settings = {name: value for name, value in (("control", control), ("seed", seed)) if value is not None}
        first = bar + (1 if left > AMPLE else 2)
        if self._composer is not None and not self._complete:
            self._sheet.outdate(bar + 1)
            self._composer.order("change", settings=settings, density=density, left=left, **{"from": bar})
        elif self._complete:
            self._complete = False
            self._sheet.outdate(first)
            self._do(self._compose(self._sheet.before(first)))

    def _from_composer(self, said: Message) -> None:
        match said["event"]:
            case "picture":
                first = self._tempo_map is None
                self._tempo_map = TempoMap.of((int(tick), int(uspq)) for tick, uspq in said["tempo_map"])
                self._picture = Picture.from_json(said)
                if first:
                    self._stated = None if self.request.endless else int(said["bars"])
                    notes = [*said["notes"], *self._labels()]
                    self._tell({**said, "tempo": self._tempo_map.bpm_at(0), "notes": notes})
                    self._open_player()
            case "bars":
                self._feed(self._sheet.put((int(bar), self._played(notes)) for bar, notes in said["bars"]))
                self._start()
            case "end":
                self._end_at(int(said["bars"]))
            case "take":  # the last that it says of a piece
                self._complete = True
                self._sheet.outdate(None)
                self._take = Path(said["project"]), int(said["take"])
                self._tell(said)
            case "stage":
                self._tell(said)
            case "error":
                raise CmtBridgeError.from_json(said)

    def _end_at(self, bars: int) -> None:
        """Know the length of the piece; music that has stopped at the length that the file states goes on to it."""
        stated, self._stated = self._stated, None
        self._sheet.length = bars
        self._to_player("end", bars=bars)
        if stated is not None and not self.state.get("rolling") and self.state.get("tick", 0) >= stated * TICKS_PER_BAR:
            if stated < bars and self._started:
                self._to_player("play")
            else:
                self._see_end()

    # Playing

    def _open_player(self) -> None:
        """Tell the player all it has to know; also one that takes the place of another."""
        assert self._player is not None
        assert self._tempo_map is not None
        request = replace(self.request, name=self._name, backend=self._backend or self.request.backend)
        tracks = {"tracks": self._music.tracks} if self._music is not None else {}
        self._player.send(request.order(self._tempo_map, self._picture, self._ledger, **tracks).to_json())
        length = self._stated if self._sheet.length is None else self._sheet.length
        if length is not None:
            self._to_player("end", bars=length)
        if self._silent(self.controls):
            self._to_player("mute", channels=sorted(self._silent(self.controls)))
        if self.controls.loop is not None:
            self._to_player("loop", bars=list(self.controls.loop))
            self._to_player("locate", tick=self.controls.loop[0] * TICKS_PER_BAR)
        self._feed(sorted(self._sheet.bars.items()))

    def _silent(self, controls: Controls) -> frozenset[int]:
        """Return the channels that are not heard as controls stand."""
        return controls.silent if self._music is None else self._music.silent(controls)

    def _played(self, notes: Entries) -> Entries:
        """Return notes that were composed on the channels on which the take that is played has them.

        A part that the take does not have is told its program where it begins in each bar.
        """
        music = self._music
        if music is None:
            return notes
        found: Entries = []
        told = set(music.told)
        for tick, duration, channel, *rest in sorted(notes):
            there = music.channel_of(channel)
            if there not in told:
                told.add(there)
                part = next(part for part in PARTS.values() if part.channel == channel)
                found.append([tick, bytes((PROGRAM_CHANGE | there, part.program)).hex()])
            found.append([tick, duration, there, *rest])
        return found

    def _feed(self, bars: list[tuple[int, Any]]) -> None:
        for start in range(0, len(bars), BARS_AT_ONCE):
            self._to_player("bars", bars=[[bar, notes] for bar, notes in bars[start : start + BARS_AT_ONCE]])

    def _to_player(self, do: str, **more: Any) -> None:
        if self._player is not None and self._tempo_map is not None:
            self._player.order(do, **more)

    def _start(self) -> None:
        """Begin to play, where that is for us to do and the first bar is there."""
        first = self.controls.loop[0] if self.controls.loop else 0
        wanted = not self.request.follow and not self.request.wait
        if wanted and not self._started and self.state and first in self._sheet.bars:
            self._started = True
            self._to_player("play")

    def _act(self, name: str, value: Any) -> None:
        if name == "locate":
            self._to_player("locate", tick=(int(value) - 1) * TICKS_PER_BAR)
        elif name == "take":
            self._do(self._choose(int(value)))
        elif value:
            self._started = True
            self._to_player(name)

    def _from_player(self, said: Message) -> None:
        match said["event"]:
            case "ready":
                self._tell(said)
                self._backend = said["backend"]
                if self._resume is not None:
                    self._do(self._join())
                    return
                assert self._tempo_map is not None
                self.state = {"rolling": False, "tick": 0.0, "tempo": self._tempo_map.bpm_at(0)}
                if said["cleared"]:
                    self._tell({"event": "note", "text": f"{said['cleared']} notes that hung were ended."})
                self._start()
            case "state":
                self._hear(said)
            case "gone":
                self._tell({"event": "note", "text": "The server of the ports has ended; it is waited for."})
            case "error":
                if self._resume is None or said["code"] != MissingError.exit_code:
                    raise CmtBridgeError.from_json(said)
            case "control":
                self._knob((int(said["channel"]), int(said["controller"])), int(said["value"]))
            case "closed":
                pass
            case _:
                self._tell(said)

    def _knob(self, knob: Knob, value: int) -> None:
        """Take in that a MIDI controller was moved."""
        learned = self._learned
        if learned is None:
            return
        try:
            if learned.waiting and knob not in learned.knobs:
                name = learned.bind(knob)
                self._tell({"event": "learned", "control": name, "channel": knob[0] + 1, "controller": knob[1]})
            self.turn(learned.meaning(knob, value, self.controls))
        except CmtBridgeError as error:
            self._tell({"event": "note", "text": str(error)})

    async def _choose(self, take: int) -> None:
        """Make a take the current one; that it is so is then seen like any other choice."""
        from cmt_bridge.scoring.choose import choose

        try:
            await asyncio.to_thread(choose, self.request.path, "choose", take)
        except CmtBridgeError as error:
            self._tell({"event": "note", "text": str(error)})

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside the rest, until the stream ends."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _hear(self, said: Message) -> None:
        self.state = {**said, "restarts": dict(self._restarts)}
        self._heard_at = time.monotonic()
        if said["bar"] != self._playing:
            self._playing = said["bar"]
            if self._composer is not None and not self._complete:
                self._composer.order("playing", bar=max(0, self._playing))
        self._tell(self.state)
        self._see_end()

    def _see_end(self) -> None:
        """Look whether the music has come to its end, and that is the end of the stream too."""
        length, request = self._sheet.length, self.request
        over = length is not None and not self.state.get("rolling") and self.state["tick"] >= length * TICKS_PER_BAR
        if over and self._started and not (request.follow or request.wait or self.controls.loop or request.endless):
            self._ended = True

    # Processes

    async def _serve(self) -> None:
        """Hear what composer and player say until it has ended."""
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            while not self._stopping.is_set() and not (self._ended and self._complete and self._take is not None):
                hearing = asyncio.create_task(self._inbox.get())
                await asyncio.wait([hearing, stopping], return_when=asyncio.FIRST_COMPLETED)
                if not hearing.done():
                    hearing.cancel()
                    return
                child, said = hearing.result()
                if child not in (self._player, self._composer):
                    continue
                if said is None:
                    await self._replace(child)
                elif child is self._player:
                    self._from_player(said)
                else:
                    self._from_composer(said)
        finally:
            stopping.cancel()

    async def _replace(self, child: ChildProcess) -> None:
        """Start a process again that has ended by itself, where it was."""
        now = time.monotonic()
        self._deaths = [at for at in self._deaths if now - at < MINUTE] + [now]
        if child is self._composer and self._complete:
            self._composer = None
            return
        if child is self._player and child.exit_code == MissingError.exit_code and not self.state:
            return  # it has said why
        if len(self._deaths) > MOST_ENDS and child.exit_code != MissingError.exit_code:
            raise CmtBridgeError(f"The {child.name} ends again and again.", hint="Report what it prints.")
        if child.exit_code != MissingError.exit_code:
            self._restarts[child.name] += 1
            self._tell({"event": "restart", "process": child.name})
        if child is self._composer:
            await self._compose(self._sheet.before())
            return
        if self._resume is None:
            self._resume = bool(self.state.get("rolling")), self.position, now
        if child.exit_code == MissingError.exit_code:
            await asyncio.sleep(WAIT_FOR_SERVER)
        self._player = await ChildProcess.start("player", PLAYER, self._inbox)
        if self._tempo_map is not None:
            self._open_player()

    async def _join(self) -> None:
        """Go on where time has brought the music, after another player has taken the place of one that ended."""
        assert self._resume is not None
        (rolled, position, at), self._resume = self._resume, None
        tempo = float(self.state["tempo"])
        if not rolled or self.request.follow:
            self._to_player("locate", tick=int(position))
            return
        now = self._turned(position + (time.monotonic() - at) * tempo / SECONDS_OF_TICK)
        tick = int(now) + JOIN
        self._to_player("locate", tick=tick)
        await asyncio.sleep((tick - now) * SECONDS_OF_TICK / tempo)
        self._to_player("play")

    def _turned(self, tick: float) -> float:
        """Return where the loop has brought the music that would be at a tick without it."""
        first, last = (bar * TICKS_PER_BAR for bar in self.controls.loop or (0, 0))
        return tick if tick < last or first == last else first + (tick - first) % (last - first)

    async def _end(self) -> None:
        """End the player first, so that it is silent, then the composer, if it is ours."""
        if self._player is not None:
            await self._player.end()
        composer = self._composer
        if composer is not None and not (self._lend is not None and await self._let_go(composer)):
            await composer.end()

    async def _let_go(self, composer: ChildProcess) -> bool:
        """Have a composer that stays be done with this piece; return whether it is."""
        composer.order("close")
        with suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL):
                while composer.is_running:
                    child, said = await self._inbox.get()
                    if child is composer and said is not None and said["event"] == "closed":
                        return True
        return False
