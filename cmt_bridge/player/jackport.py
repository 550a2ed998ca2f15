"""JACK: the player in the process callback, each message at its sample."""

from __future__ import annotations

import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

from cmt_bridge.core.tempo import BEATS_PER_BAR, TICKS_PER_BAR
from cmt_bridge.errors import MissingError
from cmt_bridge.player.active_notes import ActiveNotes
from cmt_bridge.player.connections import Cable
from cmt_bridge.player.order import BY_JACK, BY_MIDI, CONTROLS, MUSIC, SYNC_IN, SYNC_OUT, Order
from cmt_bridge.player.player import SYNC, Player
from cmt_bridge.player.timebase import NANOSECONDS

__all__ = ["JackPort", "jack_module", "unwrapped"]

WRAP: Final = 1 << 32  # frames after which JACK's frame time begins anew
PATIENCE = 2.0  # s, for a last cycle
SETTLING = 3  # cycles between the last message and the end of the client
TICKS_PER_BEAT = 1920.0  # as Ardour counts


def jack_module() -> Any:
    """Return the package that speaks to JACK. Raises `MissingError` where JACK's library is not installed."""
    try:
        import jack
    except (ImportError, OSError) as error:
        raise MissingError(
            "JACK is not installed.", hint="Debian, Ubuntu: apt install jackd2; others: https://jackaudio.org."
        ) from error
    jack.set_error_function(lambda _: None)
    jack.set_info_function(lambda _: None)
    return jack


def unwrapped(frame: int, near: int) -> int:
    """Return a frame time of JACK's, which begins anew after 2**32 frames, as the one that is near another."""
    return near + (frame - near + WRAP // 2) % WRAP - WRAP // 2


class JackPort:
    """A client of a running JACK server that plays.

    `gone` is called, in a thread of JACK's, when the server ends, and with a sentence where something went wrong here.
    Raises `MissingError` where no server runs.
    """

    def __init__(self, order: Order, ledger: ActiveNotes, gone: Callable[[str], None]) -> None:
        jack = jack_module()
        self._jack = jack
        try:
            self._client = jack.Client(order.name, no_start_server=True)
        except jack.JackOpenError as error:
            raise MissingError(
                "No JACK server runs.",
                hint="Start one: jackd -d dummy, QjackCtl, or PipeWire's JACK; or --backend rtmidi.",
            ) from error
        self.order = order
        self.xruns = 0
        self.late = 0
        self.player = Player(order, self._client.samplerate, ledger)
        names = order.music
        self._music = [self._client.midi_outports.register(name) for name in names]
        self._sync_out = self._client.midi_outports.register(SYNC_OUT) if order.lead else None
        wanted = order.follow in BY_MIDI or order.sources
        self._sync_in = self._client.midi_inports.register(SYNC_IN) if wanted else None
        self._controls = self._client.midi_inports.register(CONTROLS)
        self._numbered = {SYNC: self._sync_out, **dict(enumerate(self._music))}
        self._follows = order.follow in BY_JACK
        self._leads = "jack" in order.lead
        self._frame = 0
        self._seen = False
        self.changed = threading.Event()
        """Set when ports came, went, or were connected."""
        self._departed: deque[str] = deque()
        self._loop: tuple[int, int] | None = None
        self._settled = threading.Event()
        self._left = SETTLING
        self._alive = True
        self._gone = gone
        self._client.set_process_callback(self._process)
        self._client.set_xrun_callback(self._xrun)
        self._client.set_shutdown_callback(lambda *_: self._end(""))
        self._client.set_client_registration_callback(self._registered)
        self._client.set_port_registration_callback(lambda *_: self.changed.set())
        self._client.set_port_connect_callback(lambda *_: self.changed.set())
        if self._leads:
            self._client.set_timebase_callback(self._timebase)

    @property
    def ports(self) -> Mapping[str, list[str]]:
        """The full names of our ports, by what they are for."""
        found = {MUSIC: [port.name for port in self._music], CONTROLS: [self._controls.name]}
        if self._sync_out is not None:
            found[SYNC_OUT] = [self._sync_out.name]
        if self._sync_in is not None:
            found[SYNC_IN] = [self._sync_in.name]
        return found

    def start(self) -> None:
        """Begin to play."""
        self._client.activate()

    def close(self) -> None:
        """End what sounds, let it go out, and leave JACK."""
        if self._alive:
            if self._leads:
                self._client.transport_stop()
            self.player.close()
            if self.player.closed.wait(PATIENCE) and self._settled.wait(PATIENCE):
                self.player.settle()
        with suppress(self._jack.JackError):
            self._client.deactivate()
        with suppress(self._jack.JackError):
            self._client.close()

    def play(self) -> None:
        """Roll, by JACK's transport where that is led."""
        if not self._leads:
            self.player.play()
            return
        end = self._end_frame()
        if end is not None and self._client.transport_frame >= end:
            self._client.transport_frame = 0
        self._client.transport_start()

    def stop(self) -> None:
        """Stand, by JACK's transport where that is led."""
        if self._leads:
            self._client.transport_stop()
        else:
            self.player.stop()

    def locate(self, tick: int) -> None:
        """Go to a tick, by JACK's transport where that is led."""
        if self._leads:
            self._client.transport_frame = self._frame_of(tick)
        else:
            self.player.locate(tick)

    def loop(self, bars: tuple[int, int] | None) -> None:
        """Repeat some bars, by JACK's transport where that is led."""
        if not self._leads:
            self.player.loop(bars)
        elif bars is None:
            self._loop = None
        else:
            self._loop = self._frame_of(bars[0] * TICKS_PER_BAR), self._frame_of(bars[1] * TICKS_PER_BAR)

    def _frame_of(self, tick: int) -> int:
        """Return the frame of JACK's transport at which a tick is."""
        return max(0, round(self.player.timebase.position(tick) * self.player.rate / NANOSECONDS))

    def _end_frame(self) -> int | None:
        length = self.player.sequencer.length
        return None if length is None else self._frame_of(length * TICKS_PER_BAR)

    # Connections

    def connections(self) -> dict[str, list[str]]:
        """Return what each of our ports is connected to, by its short name."""
        found: dict[str, list[str]] = {}
        with suppress(self._jack.JackError):
            for port in self._ours():
                found[port.shortname] = [other.name for other in port.connections]
        return found

    def there(self) -> dict[str, dict[str, list[str]]]:
        """Return what each of our ports could be connected to, with the other names of those."""
        found = {
            inputs: {
                port.name: port.aliases
                for port in self._client.get_ports(is_midi=True, is_output=inputs, is_input=not inputs)
                if not self._client.owns(port)
            }
            for inputs in (False, True)
        }
        return {port.shortname: found[port.is_input] for port in self._ours()}

    def left(self) -> list[str]:
        """Return the programs that left JACK since the last call."""
        return [self._departed.popleft() for _ in range(len(self._departed))]

    def connect(self, cables: Iterable[Cable]) -> None:
        """Connect ports of ours, by short name, to others."""
        ports = {port.shortname: port for port in self._ours()}
        for ours, other in cables:
            port = ports[ours]
            ends = (other, port) if port.is_input else (port, other)
            with suppress(self._jack.JackError):  # it has gone meanwhile, or is connected already
                self._client.connect(*ends)

    def _ours(self) -> list[Any]:
        return [port for port in (*self._music, self._sync_out, self._sync_in, self._controls) if port is not None]

    # In JACK's threads

    def _process(self, frames: int) -> None:
        try:
            self._cycle(frames)
        except Exception as error:  # in a thread of JACK's nobody else would ever hear of it
            traceback.print_exc()
            self._end(f"internal error: {error!r}.")

    def _cycle(self, frames: int) -> None:
        client, player = self._client, self.player
        now = client.last_frame_time
        start = unwrapped(now, self._frame) if self._seen else now
        self._frame, self._seen = start, True
        if self._sync_in is not None:
            for offset, data in self._sync_in.incoming_midi_events():
                player.receive(bytes(data), start + offset)
        for _, data in self._controls.incoming_midi_events():
            player.control(bytes(data))
        if self._follows or self._leads:
            state, position = client.transport_query_struct()
            bbt = None
            if position.valid & self._jack.POSITION_BBT:
                bbt = (
                    position.bar,
                    position.beat,
                    position.tick,
                    position.ticks_per_beat,
                    position.beats_per_bar,
                    position.beats_per_minute,
                )
            rolls = state == self._jack.ROLLING
            player.move(rolls, position.frame, bbt, start)
            if self._leads and rolls:
                self._guide(position.frame, frames)
        for port in self._music:
            port.clear_buffer()
        if self._sync_out is not None:
            self._sync_out.clear_buffer()
        if player.closed.is_set():
            self._left -= 1
            if self._left <= 0:
                self._settled.set()
            return
        ports = self._numbered
        for at, number, message in player.cycle(start, start + frames):
            offset = at - start
            try:
                ports[number].write_midi_event(min(max(0, offset), frames - 1), message)
            except self._jack.JackError:
                self.late += 1

    def _guide(self, frame: int, frames: int) -> None:
        """Take JACK's transport back at the end of a loop, and stop it at the end of the piece.

        What is asked of it holds from the next period on, so it is asked in the last one that begins in the loop, to go
        back by just the length of the loop.
        """
        client = self._client
        if self._loop is not None:
            first, last = self._loop
            if frame <= last < frame + 2 * frames:
                client.transport_frame = max(0, first + frame + frames - last)
            return
        end = self._end_frame()
        if end is not None and frame >= end and not self.player.output.sounding:
            client.transport_stop()

    def _timebase(self, state: int, blocksize: int, position: Any, new: bool) -> None:  # noqa: ARG002
        """Tell others bar, beat and tick of the score at a frame."""
        timebase = self.player.timebase
        tick = timebase.tick(position.frame * NANOSECONDS / position.frame_rate)
        beats = tick / 4
        bar, beat = divmod(int(beats), BEATS_PER_BAR)
        position.valid = self._jack.POSITION_BBT
        position.bar, position.beat = bar + 1, beat + 1
        position.tick = int((beats - int(beats)) * TICKS_PER_BEAT)
        position.bar_start_tick = bar * BEATS_PER_BAR * TICKS_PER_BEAT
        position.beats_per_bar, position.beat_type = float(BEATS_PER_BAR), 4.0
        position.ticks_per_beat = TICKS_PER_BEAT
        position.beats_per_minute = timebase.tempo_map.bpm_at(int(tick))

    def _registered(self, name: str, there: bool) -> None:
        if not there:
            self._departed.append(name)

    def _xrun(self, _: float) -> None:
        self.xruns += 1

    def _end(self, sentence: str) -> None:
        self._alive = False
        self._gone(sentence)
