"""A real Ardour for a test: its sessions, made and read back by its own Lua, and `hardour`, which has no window."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from jack import JackError
from pythonosc.udp_client import SimpleUDPClient

from tests.jack import Server

LIBRARY = Path("/usr/lib/ardour7")
PATIENCE = 60.0  # s
CALM = 2.0  # s, until it has settled
TRIES = 3  # on a busy machine it now and then loses JACK as it starts
TICKS_PER_QUARTER = 1920  # Ardour's
ENVIRONMENT = {
    "LD_LIBRARY_PATH": str(LIBRARY),
    "ARDOUR_DATA_PATH": "/usr/share/ardour7",
    "ARDOUR_CONFIG_PATH": "/etc/ardour7",
    "ARDOUR_DLL_PATH": str(LIBRARY),
}
ALONE = ("taskset", "-c", str(min(os.sched_getaffinity(0))))
"""Has a program run on one processor: on two, Ardour 7.3 half of the times garbles what it tells JACK as it starts."""
OUTAGES = (AssertionError, JackError, ValueError)  # what comes of a JACK that has ended, or of its client
SENDS = {"send-mtc": "1", "send-midi-clock": "1", "send-mmc": "1"}
MASTERS = """<TransportMasters current="JACK Transport">
<TransportMaster type="Engine" name="JACK Transport" collect="1" removeable="0"/>
</TransportMasters>"""

BUILD = """
AudioEngine:set_backend("None (Dummy)", "", "")
local s = create_session({folder}, {name}, {rate})
local tm = Temporal.TempoMap.fetch_writable()
{tempos}
Temporal.TempoMap.update(tm)
local one = ARDOUR.ChanCount(ARDOUR.DataType("midi"), 1)
for _, name in ipairs({{ {tracks} }}) do
  s:new_midi_track(one, one, true, ARDOUR.PluginInfo(), nil, nil, 1, name, ARDOUR.PresentationInfo.max_order,
                   ARDOUR.TrackMode.Normal, true)
end
s:save_state("", false, false, false, false, false)
close_session()
quit()
"""

RECORD = """
AudioEngine:set_backend("JACK", "ardour", "")
local s = load_session({folder}, {name})
local t
for r in s:get_tracks():iter() do t = t or r:to_track():to_midi_track() end
assert(t:input():nth(0):connect({source}) == 0)
t:rec_enable_control():set_value(1, PBD.GroupControlDisposition.NoGroup)
s:request_stop(false, false, ARDOUR.TransportRequestSource.TRS_UI)
ARDOUR.LuaAPI.usleep(1000000)
s:request_locate(0, false, ARDOUR.LocateTransportDisposition.MustStop, ARDOUR.TransportRequestSource.TRS_UI)
ARDOUR.LuaAPI.usleep(500000)
s:maybe_enable_record(false)
ARDOUR.LuaAPI.usleep(500000)
s:request_roll(ARDOUR.TransportRequestSource.TRS_UI)
ARDOUR.LuaAPI.usleep(500000)
io.stdout:write("rolls\\n")
io.stdout:flush()
ARDOUR.LuaAPI.usleep({microseconds})
s:request_stop(false, false, ARDOUR.TransportRequestSource.TRS_UI)
ARDOUR.LuaAPI.usleep(1500000)
s:save_state("", false, false, false, false, false)
close_session()
quit()
"""

READ = """
AudioEngine:set_backend("None (Dummy)", "", "")
local s = load_session({folder}, {name})
local function ticks(beats)
  local whole, rest = tostring(beats):match("(%d+):(%d+)")
  return math.tointeger(whole) * 1920 + math.tointeger(rest)
end
for r in s:get_tracks():iter() do
  for region in r:to_track():playlist():region_list():iter() do
    local midi = region:to_midiregion()
    print("region", region:position():ticks(), region:start():ticks())
    for note in ARDOUR.LuaAPI.note_list(midi:model()):iter() do
      print("note", ticks(note:time()), ticks(note:length()), note:channel(), note:note(), note:velocity())
    end
  end
end
close_session()
quit()
"""


Found = TypeVar("Found")


class NoArdourError(AssertionError):
    """Ardour is not installed, or does not start."""


@dataclass(frozen=True)
class Session:
    """A session of Ardour in a folder of its own, with a home of its own."""

    folder: Path
    home: Path
    rate: int

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def file(self) -> Path:
        return self.folder / f"{self.name}.ardour"

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which it knows nothing of the person's own Ardour."""
        return {**os.environ, **ENVIRONMENT, "HOME": str(self.home), "XDG_CONFIG_HOME": str(self.home / ".config")}

    def set(self, **options: str) -> None:
        """Set options of the session; in their names _ stands for -."""
        text = self.file.read_text()
        for name, value in options.items():
            name = name.replace("_", "-")
            text, count = re.subn(rf'(<Option name="{name}" value=)"[^"]*"', rf'\1"{value}"', text)
            assert count == 1, name
        self.file.write_text(text)

    def configure(self, *, master: str = "", **options: str) -> None:
        """Set the program's options, in whose names _ stands for -, and whose transport it follows: `JACK` or none."""
        lines = [f'<Option name="{name.replace("_", "-")}" value="{value}"/>' for name, value in options.items()]
        path = self.home / ".config" / "ardour7" / "config"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            f'<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<Ardour><Config>{''.join(lines)}</Config>{MASTERS if master else ''}</Ardour>\n"
        )

    def lua(self, script: str, server: Server | None = None, **values: object) -> subprocess.Popen[str]:
        """Start Ardour's Lua with a script in which names in braces stand for values."""
        quoted = partial(json.dumps, ensure_ascii=False)  # as Lua has it too
        text = script.format(folder=quoted(str(self.folder)), name=quoted(self.name), **values)
        path = self.home / "script.lua"
        path.write_text(text)
        return subprocess.Popen(
            [*(ALONE if server else ()), "ardour7-lua", str(path)],
            env={**self.environment, **(server.environment if server else {})} | _own(self),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


def _own(session: Session) -> dict[str, str]:
    return {"HOME": str(session.home), "XDG_CONFIG_HOME": str(session.home / ".config")}


def build(
    folder: Path,
    *,
    rate: int = 48000,
    tempos: Sequence[tuple[float, float]] = ((0, 120),),
    tracks: Sequence[str] = ("Music",),
) -> Session:
    """Make a session in a new folder; `tempos` are pairs of quarters and BPM."""
    if shutil.which("ardour7-lua") is None:
        raise NoArdourError("Ardour is not installed: apt install --no-install-recommends ardour")
    session = Session(folder / "session", folder / "home", rate)
    session.home.mkdir(parents=True)
    session.configure(**{name.replace("-", "_"): value for name, value in SENDS.items()})
    lines = [
        f"tm:set_tempo(Temporal.Tempo({bpm}, {bpm}, 4), Temporal.timepos_t.from_ticks({round(at * TICKS_PER_QUARTER)}))"
        for at, bpm in tempos
    ]
    process = session.lua(BUILD, rate=rate, tempos="\n".join(lines), tracks=", ".join(map(json.dumps, tracks)))
    output, _ = process.communicate(timeout=PATIENCE)
    if not session.file.exists():
        raise NoArdourError(f"Ardour makes no session: {output}")
    text = session.file.read_text()
    text = re.sub(r'(<Protocol name="Open Sound Control \(OSC\)" active=)"0"', r'\1"1"', text)
    session.file.write_text(text)
    return session


@contextmanager
def recording(session: Session, server: Server, source: str, seconds: float) -> Iterator[None]:
    """Let Ardour record a port on its first track; it rolls when the body begins, and the body waits for its end."""
    process = session.lua(RECORD, server, source=json.dumps(source), microseconds=round(seconds * 1e6))
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if line.startswith("rolls"):
            break
    else:
        process.communicate()
        raise AssertionError(f"Ardour does not record: {''.join(said)}")
    try:
        yield
    finally:
        process.communicate(timeout=seconds + PATIENCE)


def read(session: Session) -> list[tuple[int, int, int, int, int]]:
    """Give the recorded notes: Ardour's ticks from the session's beginning and lengths, channel, pitch, velocity."""
    output, _ = session.lua(READ).communicate(timeout=PATIENCE)
    start = 0
    found = []
    for line in output.splitlines():
        match line.split():
            case ["region", position, first]:
                start = int(position) - int(first)
            case ["note", *values]:
                tick, length, channel, pitch, velocity = map(int, values)
                found.append((start + tick, length, channel, pitch, velocity))
    if not found:
        raise AssertionError(f"nothing was recorded: {output[:3000]}")
    return found


class Hardour:
    """Ardour without a window, on a JACK server; it is told by OSC what to do."""

    def __init__(self, session: Session, server: Server, name: str = "ardour") -> None:
        self._osc: SimpleUDPClient | None = None
        self.name = name
        self.rate = session.rate
        self.log = session.home / f"{name}.log"
        for _ in range(TRIES):
            self._start(session, server)
            time.sleep(CALM)
            if self._process.poll() is None and not server.is_garbled:
                break
            self.close()
        else:
            raise NoArdourError(f"Ardour ends as soon as it has started: {self.log.read_text(errors='replace')}")
        self._osc = SimpleUDPClient("127.0.0.1", _udp_port(self._process.pid) or 0)
        self.stop()  # it rolls as soon as it has loaded
        self.locate(0)

    def _start(self, session: Session, server: Server) -> None:
        with self.log.open("wb") as file:
            self._process = subprocess.Popen(
                [*ALONE, next(iter(sorted(LIBRARY.glob("hardour-*")))), "-c", self.name, session.folder, session.name],
                env={**server.environment, **ENVIRONMENT} | _own(session),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )
        until = time.monotonic() + PATIENCE
        while not _udp_port(self._process.pid) or f"{self.name}:MTC out" not in server.ports():
            if self._process.poll() is not None:
                return
            if time.monotonic() > until or server.is_garbled:
                self.close()
                raise NoArdourError(f"Ardour does not start: {self.log.read_text(errors='replace')}")
            time.sleep(0.1)

    def tell(self, path: str, *values: object) -> None:
        """Send it a message."""
        assert self._osc is not None
        self._osc.send_message(path, list(values))

    def play(self) -> None:
        self.tell("/transport_play", 1.0)

    def stop(self) -> None:
        self.tell("/transport_stop", 1.0)

    def locate(self, sample: int, *, roll: bool = False) -> None:
        """Go to a sample."""
        self.tell("/locate", sample, int(roll))

    def close(self) -> None:
        """End it."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        if self._osc is not None:
            self._osc._sock.close()


@contextmanager
def hardour(session: Session, server: Server, name: str = "ardour") -> Iterator[Hardour]:
    """Run Ardour while the body runs."""
    found = Hardour(session, server, name)
    try:
        yield found
    finally:
        found.close()


def retried(perform: Callable[[], Found]) -> Found:
    """Give what a performance gives; it is begun anew where JACK ends or no longer understands Ardour as that starts.

    What is heard is to be judged afterwards: nothing of that is tried twice.
    """
    for _ in range(TRIES - 1):
        with suppress(*OUTAGES):
            return perform()
    return perform()


def playable(folder: Path, home: Path, rate: int = 48000) -> Session:
    """Give a session from elsewhere as one that `hardour` opens: it listens to OSC, and says where it is."""
    session = Session(folder, home, rate)
    session.home.mkdir()
    session.configure(**{name.replace("-", "_"): value for name, value in SENDS.items()})
    osc = '<ControlProtocols><Protocol name="Open Sound Control (OSC)" active="1"/></ControlProtocols></Session>'
    session.file.write_text(session.file.read_text().replace("</Session>", osc))
    return session


def _udp_port(pid: int) -> int | None:
    """Give the port at which a process listens by UDP."""
    sockets = set()
    with suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                sockets.add(str(link.readlink()))
    for table in ("udp", "udp6"):
        with suppress(OSError):
            for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if f"socket:[{fields[9]}]" in sockets:
                    return int(fields[1].rpartition(":")[2], 16)
    return None
