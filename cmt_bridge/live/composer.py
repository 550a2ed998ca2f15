"""The composer's process: measures and composes while the music plays, and keeps what became of it as a take.

A conductor starts it (`python -m cmt_bridge.live.composer`), writes requests to its standard input and reads messages
from its standard output, a line of JSON each. It ends with its input, and leaves nothing half-written.

    in    {"do": "warm", "model", "precision"}                 load the model before it is needed
          {"do": "open", "path", "settings", "density", "endless", "home", "hear": [[bar, notes], …]}
          {"do": "playing", "bar"}                             the bar that is heard at the moment
          {"do": "change", "settings", "density", "from", "left"}  from a bar on, or the next there is time for, by the
                                                               share of the bar that is heard that is left
          {"do": "close"}                                      no more of this piece; the model stays
    out   {"event": "stage", "stage", "share"}
          {"event": "picture", "title", "tempo_map", "bars", "duration", "frame_rate", "timecode", "notes"}
          {"event": "bars", "bars": [[bar, [[tick, duration, channel, pitch, velocity], …]], …]}
          {"event": "end", "bars"}                             the length of the piece, where it has one
          {"event": "complete"} {"event": "take", "project", "take", "dropped", "notes"}
          {"event": "warm"} {"event": "closed"} {"event": "error", "error", "hint", "code"}

Bars count from 0. Bars may come again, with other notes.
"""

from __future__ import annotations

import queue
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cmt_bridge.errors import CmtBridgeError, InputError, VideoError, known_error
from cmt_bridge.ipc.child import BlockingChild
from cmt_bridge.ipc.serve import Channel, Message, Receiver, begin, end_on_sigterm
from cmt_bridge.settings import Settings, as_text

if TYPE_CHECKING:
    from cmt_bridge.composition.codec import GridNotes
    from cmt_bridge.live.measuring import Look
    from cmt_bridge.live.rolling import Plan, Rolling
    from cmt_bridge.scoring.pipeline import Picture

__all__ = ["main"]

NICENESS = 5  # music that plays goes before music that is being made
AHEAD: Final = 16  # bars in hand of an endless piece
MARGIN: Final = 0.6  # s, to compose the first bar of a change
REACH: Final = 2  # bars before the end of what a file states that are not composed before it is known to be the end
WAIT: Final = 0.02  # s
LEAVING: Final = 0.5  # s, in which one that measures is done with its frame
COLD, WARM = 2.5, 0.75  # s, to look at the beginning of the picture: as long as the model takes to load, and if it is
LEAD: Final = 4  # bars beyond the one that is heard that are composed even where the picture is not known yet
ARRAYS = (".npz", ".json")

Say = Callable[[Message], None]


class _ClosedError(Exception):
    """This piece is over."""


class _SupersededError(Exception):
    """This piece is over, and another one is wanted, or the end."""


class _Measuring:
    """A process that measures videos, one at a time; a thread takes in what it sends."""

    def __init__(self) -> None:
        from cmt_bridge.live.measuring import MODULE

        self._orders = self._over = 0
        self._messages: queue.Queue[tuple[int, Message | None]] = queue.Queue()
        self._child = BlockingChild(MODULE, self._receive)

    @property
    def waits(self) -> bool:
        """Whether it runs and has nothing to do."""
        return self._child.is_running and self._over == self._orders

    def begin(self, order: Message) -> None:
        """Have it measure."""
        self._orders += 1
        self._child.send(order)

    def leave(self) -> None:
        """Have it measure no more."""
        from cmt_bridge.live.measuring import LEAVE

        if self._over < self._orders:
            self._child.send(LEAVE)

    def look(self, *, wait: bool) -> Look | None:
        """Return what is known by now; None for nothing new. Raises the error that it met."""
        from cmt_bridge.live.measuring import Look

        found = None
        while True:
            try:
                number, message = self._messages.get(block=wait and found is None, timeout=WAIT)
            except queue.Empty:
                return found
            if message is None:
                raise VideoError("The measuring ended by itself.", hint="Try again; is there enough memory?")
            if number < self._orders:  # of a video before
                continue
            if "error" in message:
                raise CmtBridgeError.from_json(message)
            found = Look.from_json(message)
            if found.whole:
                return found

    def end(self) -> None:
        """End it."""
        self._child.terminate()

    def _receive(self, message: Message | None) -> None:
        if message is None:
            self._messages.put((self._orders, None))
        elif "over" in message:
            self._over += 1
        else:
            self._messages.put((self._over + 1, message))


class _Bench:
    """The process that measures, which outlives the pieces: to start one takes longer than a first look."""

    def __init__(self) -> None:
        self._waiting: _Measuring | None = None

    def fill(self) -> None:
        """Have one wait."""
        if self._waiting is None or not self._waits():
            self.clear()
            self._waiting = _Measuring()

    def take(self) -> _Measuring:
        """Return the one that waits, or another."""
        self.fill()
        found, self._waiting = self._waiting, None
        assert found is not None
        return found

    def give_back(self, measuring: _Measuring) -> None:
        """Have it wait for the next video."""
        measuring.leave()
        self.clear()
        self._waiting = measuring

    def clear(self) -> None:
        """Let none wait."""
        if self._waiting is not None:
            self._waiting.end()
            self._waiting = None

    def _waits(self) -> bool:
        """Return whether the one that was left is done with what it did."""
        assert self._waiting is not None
        until = time.monotonic() + LEAVING
        while not self._waiting.waits and time.monotonic() < until:
            time.sleep(WAIT)
        return self._waiting.waits


class _Piece:
    """One piece: from its opening to its end."""

    def __init__(self, order: Message, inbox: Receiver, say: Say, bench: _Bench) -> None:
        from cmt_bridge.config import read_config

        self.path = Path(order["path"])
        self._endless = bool(order.get("endless"))
        self._home = Path(order["home"]) if order.get("home") else None
        self._hear: dict[int, list[list[int]]] = {int(bar): notes for bar, notes in order.get("hear") or []}
        self._density = int(order.get("density", 0))
        self._inbox, self._say, self._bench = inbox, say, bench
        config = read_config(self.path.absolute().parent)
        self._asked = {name: as_text(value) for name, value in order.get("settings", {}).items()}
        self._settings: Settings = {**config.score, **self._asked}
        self._changes: list[Message] = []
        self._playing = max(self._hear, default=0)
        if self._density or self._hear:
            self._changes.append({"bar": max(self._hear, default=-1) + 2, **self._asked, "density": self._density})
        self._measuring: _Measuring | None = None
        self._rolling: Rolling | None = None
        self._told_length: int | None = None
        self._looked = 0.0
        self._picture: Picture | None = None

    def play(self) -> None:
        """Compose it all. Raises `_ClosedError` where that is not wanted any more."""
        from cmt_bridge.settings import analysis_options, compose_options

        compose_options(self._settings)  # so that what cannot be read is refused at once
        analysis = analysis_options(self._settings)
        if not self.path.is_file():
            raise InputError(f"There is no {self.path}.", hint="Check its name.")
        try:
            if self.path.suffix.lower() in ARRAYS:
                from cmt_bridge.scoring.pipeline import look_at

                self._see(look_at(self.path, analysis))
            else:
                from cmt_bridge.live.measuring import order

                patience = WARM if "torch" in sys.modules else COLD
                self._measuring = self._bench.take()
                self._measuring.begin(order(self.path.absolute(), analysis, patience))
            self._compose()
        finally:
            self._measured()

    def _compose(self) -> None:
        from cmt_bridge.live.rolling import Rolling
        from cmt_bridge.scoring.pipeline import load_engine
        from cmt_bridge.scoring.score import weights_of
        from cmt_bridge.settings import compose_options

        self._entry, engine = load_engine(*weights_of(self._settings))
        while self._picture is None:
            self._mind()
            self._measure(wait=True)
        options = compose_options(self._settings)  # something may have been changed meanwhile
        rolling = Rolling(engine, self._plan(), options, density=self._density, pulse=self._pulse)
        self._rolling = rolling
        if self._hear:
            rolling.take_up({bar: _grid(notes) for bar, notes in self._hear.items()})
        if self._endless:
            rolling.limit = self._playing + AHEAD
        self._tell_length()
        self._grow()

    def go_on(self, said: Message) -> None:
        """Change a piece that was complete already, and complete it again. Raises `_ClosedError` as `play` does."""
        self._change(said)
        self._grow()

    def _grow(self) -> None:
        assert self._rolling is not None
        while not self._rolling.is_complete:
            for bars in self._rolling.grow():
                if bars:
                    self._say({"event": "bars", "bars": [[bar, _plain(notes)] for bar, notes in bars.items()]})
                else:
                    self._pulse()
                    time.sleep(WAIT)
            self._mind()  # the last moment for a change
        self._say({"event": "complete"})
        self._keep()

    # The picture

    def _measure(self, *, wait: bool = False) -> None:
        """Take in what is known of the picture by now."""
        from cmt_bridge.composition.plan import plan
        from cmt_bridge.scoring.pipeline import Picture, titled

        if self._measuring is None:
            return
        look = self._measuring.look(wait=wait)
        if look is None:
            return
        metadata = look.metadata
        self._say({"event": "stage", "stage": "measure", "share": round(look.seconds / metadata.duration, 3)})
        picture = Picture(titled(self.path.stem), metadata.source.sha256, plan(metadata), metadata, look.damage)
        self._known = int(look.seconds * metadata.tempo / 240.0)
        self._whole = look.whole
        if look.whole:
            self._measured()
        self._see(picture, whole=look.whole)

    def _measured(self) -> None:
        if self._measuring is not None:
            self._bench.give_back(self._measuring)
            self._measuring = None

    def _see(self, picture: Picture, *, whole: bool = True) -> None:
        from cmt_bridge.scoring.score import doubts

        first = self._picture is None
        self._picture, self._whole = picture, whole
        control, metadata = picture.control, picture.metadata
        if whole:
            self._known = control.bars
        if first:
            notes = doubts(self.path, metadata, picture.damage) if metadata is not None else []
            self._say(
                {
                    "event": "picture",
                    "title": picture.title,
                    "tempo_map": [[change.tick, change.uspq] for change in control.tempo_map.changes],
                    "bars": control.bars,
                    "duration": metadata.duration if metadata else float(control.tempo_map.seconds(control.n_beat)),
                    "frame_rate": list(metadata.source.rate) if metadata else [0, 1],
                    "timecode": metadata.source.first_label if metadata else "",
                    "notes": notes,
                }
            )
        if self._rolling is not None:
            self._rolling.plan = self._plan()
            self._tell_length()

    def _plan(self) -> Plan:
        from cmt_bridge.live.rolling import Plan

        assert self._picture is not None
        control = self._picture.control
        known = control.bars
        if not self._whole:  # where measuring falls behind the music goes on as the picture was
            known = max(1, min(max(self._known, self._playing + LEAD), control.bars - REACH))
        return Plan(control, known, self._whole, self._endless, self._picture.metadata)

    def _tell_length(self) -> None:
        assert self._rolling is not None
        length = self._rolling.length
        if length is not None and length != self._told_length:
            self._told_length = length
            self._say({"event": "end", "bars": length})

    # What is asked meanwhile

    def _pulse(self) -> None:
        """Take in what came: from the conductor, and of the picture."""
        self._mind()
        now = time.monotonic()
        if now - self._looked > WAIT:
            self._looked = now
            self._measure()

    def _mind(self) -> None:
        while not self._inbox.is_empty:
            said = self._inbox.get()
            if said is None or said["do"] == "open":  # this piece is not wanted any more
                self._inbox.put_back(said)
                raise _SupersededError
            match said["do"]:
                case "playing":
                    self._playing = int(said["bar"])
                    if self._rolling is not None and not self._whole:
                        self._rolling.plan = self._plan()
                    if self._endless and self._rolling is not None:
                        self._rolling.limit = self._playing + AHEAD
                case "change":
                    self._change(said)
                case "close":
                    raise _ClosedError

    def _change(self, said: Message) -> None:
        from cmt_bridge.settings import compose_options

        settings = {name: as_text(value) for name, value in said.get("settings", {}).items()}
        self._settings = {**self._settings, **settings}
        self._density = int(said.get("density", self._density))
        rolling = self._rolling
        if rolling is None:
            return
        rolling.options = compose_options(self._settings)
        rolling.density = self._density
        bar = min(rolling.bars, max(int(said.get("from") or 0), self._playing + self._soonest(said)))
        self._changes.append({"bar": bar + 1, **settings, "density": self._density})
        rolling.go_back(bar)

    def _soonest(self, said: Message) -> int:
        """Return how many bars ahead of the one that is heard there is time to compose another."""
        assert self._picture is not None
        bar = 4 * self._picture.control.tempo_map.changes[0].uspq / 1e6
        return 1 if float(said.get("left", 0.0)) * bar > MARGIN else 2

    # The take

    def _keep(self) -> None:
        """Write the piece as a take of its clip, as `score` does."""
        from cmt_bridge.config import read_config
        from cmt_bridge.scoring.delivery import delivered
        from cmt_bridge.scoring.pipeline import provenance_of
        from cmt_bridge.scoring.score import ScoreRequest, add, weights_of

        rolling, picture = self._rolling, self._picture
        assert rolling is not None
        assert picture is not None
        options = rolling.options
        streamed = {} if rolling.is_plain else {"streamed": self._changes}
        _, precision = weights_of(self._settings)
        batch = {"first_seed": options.seed, "variations": 1, **streamed}
        provenance = provenance_of(picture, self._entry, options, precision, batch)
        score = rolling.score(picture.title, provenance)
        request = ScoreRequest(self.path, self._asked, home=self._home)
        project, made = add(request, picture, [score], "stream")
        config = read_config(self.path.absolute().parent)
        outputs = replace(config.outputs, files=tuple(name for name in config.outputs.files if name != "preview"))
        outcome = delivered(project, made, outputs, self.path, notes=[], seconds={})
        self._say(
            {
                "event": "take",
                "project": str(project.folder),
                "take": made[0].number,
                "dropped": outcome.dropped,
                "notes": outcome.notes,
            }
        )


def _plain(notes: GridNotes) -> list[list[int]]:
    """Return notes as the player knows them: tick, duration, channel, pitch, velocity."""
    from cmt_bridge.composition.codec import Grid
    from cmt_bridge.core.instruments import PARTS, Instrument

    channels = {int(instrument): PARTS[instrument].channel for instrument in Instrument}
    return [
        [
            row[Grid.ONSET],
            max(1, row[Grid.DURATION]),
            channels[row[Grid.INSTRUMENT]],
            row[Grid.PITCH],
            row[Grid.VELOCITY],
        ]
        for row in notes.tolist()
    ]


def _grid(notes: list[list[int]]) -> GridNotes:
    """Return notes of the player as the composer knows them."""
    import numpy as np

    from cmt_bridge.composition.codec import Grid, in_word_order
    from cmt_bridge.core.instruments import PARTS, Instrument

    players = {PARTS[instrument].channel: int(instrument) for instrument in Instrument}
    rows = [(tick, players[channel], pitch, length, velocity) for tick, length, channel, pitch, velocity in notes]
    return in_word_order(np.array(rows, np.int64).reshape(-1, len(Grid)))


def _tried(work: Callable[[], None], say: Say, closed: Callable[[], None]) -> None:
    """Do something with a piece, whatever comes of it."""
    try:
        work()
    except _ClosedError:
        closed()
    except _SupersededError:
        pass
    except Exception as error:
        if not isinstance(error, CmtBridgeError | OSError | MemoryError):
            with suppress(OSError):
                traceback.print_exc()
        say({"event": "error", **known_error(error).to_json()})


def _warm(order: Mapping[str, Any], say: Say) -> None:
    """Load what composing needs, and use it once: the first time takes longest."""
    from cmt_bridge.core.control import ControlTrack
    from cmt_bridge.core.options import ComposeOptions
    from cmt_bridge.core.tempo import TempoMap
    from cmt_bridge.model.decoding import Decoding, compose
    from cmt_bridge.scoring.pipeline import load_engine
    from cmt_bridge.scoring.score import weights_of

    with suppress(CmtBridgeError):
        _, engine = load_engine(*weights_of(order))
        compose(Decoding(engine, ControlTrack(TempoMap.constant(120), (2, 1), (), 32), ComposeOptions()))
    say({"event": "warm"})


def main() -> None:
    """Serve a conductor until it ends."""
    say = Channel(begin(niceness=NICENESS)).send
    end_on_sigterm()
    inbox, bench = Receiver(), _Bench()
    piece: _Piece | None = None

    def play(order: Message) -> None:
        nonlocal piece
        piece = None
        opened = _Piece(order, inbox, say, bench)
        opened.play()
        piece = opened

    def go_on(order: Message) -> None:
        nonlocal piece
        changed, piece = piece, None
        if changed is not None:
            changed.go_on(order)
        piece = changed

    def closed() -> None:
        bench.fill()  # whoever closes a piece means to open another
        say({"event": "closed"})

    while (said := inbox.get()) is not None:
        match said["do"]:
            case "warm":
                bench.fill()
                _warm(said, say)
            case "open":
                _tried(partial(play, said), say, closed)
            case "change":
                _tried(partial(go_on, said), say, closed)
            case "close":
                piece = None
                closed()
    bench.clear()


if __name__ == "__main__":
    main()
