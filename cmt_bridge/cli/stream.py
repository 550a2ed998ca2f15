"""`cmt-bridge stream`: the music of a clip into the DAW, while it plays."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cmt_bridge.cli.common import talk
from cmt_bridge.cli.settings import chosen, setting_options, settings_of
from cmt_bridge.cli.statusline import StatusLine
from cmt_bridge.errors import UsageError
from cmt_bridge.settings import of_verb

if TYPE_CHECKING:
    from cmt_bridge.live.conductor import Conductor
    from cmt_bridge.live.keys import Stream
    from cmt_bridge.live.request import StreamRequest
    from cmt_bridge.service.client import Client
    from cmt_bridge.service.remote import RemoteStream

__all__ = ["stream"]

COMPOSING = [each.name for each in of_verb("stream").values() if each.section == "score"]
PLAYING = [each.name for each in of_verb("stream").values() if each.section != "score"]
INTERRUPTED = 130  # exit code
MOST_TYPED = 32  # bytes
KEYS = (
    "space play/stop, ←/→ bar, l loop 4 bars, m1-5 mute, s1-5 solo, +/- density, [/] control, r another seed, "
    "p panic, q quit"
)


@click.command(short_help="Play the music into your DAW, in time with it.")
@click.argument("video", type=click.Path(path_type=Path))
@setting_options("stream", PLAYING)
@click.option(
    "--learn", multiple=True, help="Have this moved by the next MIDI controller you move, such as mute.drums."
)
@click.option("--controls", type=click.Path(path_type=Path), help="File of the MIDI controllers that were learned.")
@click.option("--here", is_flag=True, help="Play in this process, although a daemon watches the folder.")
@click.option("--stop", is_flag=True, help="End what the daemon of the folder plays.")
@click.option("--dry-run", is_flag=True, help="Print every message with its time instead of sending it.")
@click.option("--json", "as_json", is_flag=True, help="Print what happens as lines of JSON on stdout.")
@setting_options("stream", COMPOSING)
def stream(
    video: Path, dry_run: bool, as_json: bool, here: bool, stop: bool, controls: Path | None, **given: Any
) -> None:
    """Play the music of VIDEO into whatever listens, while it is still being composed.

    It plays the clip's current take; where there is none it is composed as it plays, and kept as the first take. What
    you choose, undo or regenerate meanwhile is heard from the next bar line on.

    Without --follow it plays by itself once its first bar is there. `cmt-bridge ports` lists what it can play through.
    Where a daemon watches the clip's folder it is the daemon that plays, and has the model at hand.

    \b
    Examples:
      cmt-bridge stream clip.mp4
      cmt-bridge stream clip.mp4 --follow mtc --from ardour --to "MIDI 1"
      cmt-bridge stream clip.mp4 --lead clock,mtc --loop 5-8
      cmt-bridge stream clip.mp4 --dry-run
    """
    from cmt_bridge.config import read_config
    from cmt_bridge.live.request import asked
    from cmt_bridge.scoring.score import check_settings

    options = settings_of(given)
    said = {**chosen("stream", given), **({"options": options} if options else {})}
    request = asked(video, said)
    if request.settings:  # what cannot be is refused before anything is loaded
        check_settings({**read_config(video.absolute().parent).score, **request.settings})
    if dry_run:
        _rehearse(request, as_json)
        return
    client = None if here or controls else _client(video)
    if stop:
        if client is None:
            raise UsageError(f"No daemon watches the folder of {video}.", hint="End a stream where it was started.")
        client.ask("stream_stop")
        return
    learn = given["learn"]
    if client is not None:
        asyncio.run(_follow(client, {**said, "path": str(video.absolute()), "learn": list(learn)}, as_json))
        return
    asyncio.run(_play(request, controls, learn, as_json))


def _client(video: Path) -> Client | None:
    from cmt_bridge.service.client import Client

    return Client.for_path(video.absolute())


def _rehearse(request: StreamRequest, as_json: bool) -> None:
    """Print what would be sent; what has no take yet is composed as `score` does it, and not kept."""
    from cmt_bridge.live.rehearsal import music_of, rehearse

    for each in rehearse(music_of(request), request):
        if as_json:
            click.echo(json.dumps(each.to_json()))
            continue
        rest = " ".join(str(byte) for byte in each.data[1:])
        click.echo(f"{each.seconds:10.4f}  {each.position:>10}  {each.track:8} {each.kind:14} {rest}")


async def _play(request: StreamRequest, controls: Path | None, learn: Sequence[str], as_json: bool) -> None:
    from cmt_bridge.config import state_root
    from cmt_bridge.live.conductor import Conductor
    from cmt_bridge.live.learn import FILE_NAME, Learned

    show = _as_lines if as_json else _Line()
    learned = Learned(controls or state_root() / FILE_NAME, learn)
    await _run(Conductor(request, show, learned=learned), show, as_json)


async def _follow(client: Client, said: dict[str, Any], as_json: bool) -> None:
    from cmt_bridge.service.remote import RemoteStream

    show = _as_lines if as_json else _Line()
    await _run(RemoteStream(client, said, show), show, as_json)


async def _run(playing: Conductor | RemoteStream, show: Any, as_json: bool) -> None:
    """Play to the end, or until somebody has enough."""
    loop = asyncio.get_running_loop()
    interrupted = False

    def interrupt() -> None:
        nonlocal interrupted
        if interrupted:
            os._exit(INTERRUPTED)  # the player ends what sounds when its input ends
        interrupted = True
        playing.stop()

    if sys.platform == "win32":
        signal.signal(signal.SIGINT, lambda *_: loop.call_soon_threadsafe(interrupt))
    else:
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(name) is not signal.SIG_IGN:  # as nohup and shells have it
                loop.add_signal_handler(name, interrupt)
    try:
        with _keys(loop, playing, as_json):
            await playing.run()
    finally:
        if isinstance(show, _Line):
            show.end()
    if interrupted:
        talk("stopped; every note was ended")
        raise SystemExit(INTERRUPTED)


def _as_lines(message: dict[str, Any]) -> None:
    click.echo(json.dumps(message))


class _Line:
    """Show on one line of the terminal how it goes, and above it what happens."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._line = StatusLine()
        self._state: dict[str, Any] = {}
        self._controls: dict[str, Any] = {}

    def __call__(self, message: dict[str, Any]) -> None:
        match message["event"]:
            case "state" | "controls" as what:
                if what == "state":
                    self._state = message
                else:
                    self._controls = message
                if self._live and self._state:
                    self._line.show(_state(self._state, self._controls))
            case _:
                for sentence in _sentences(message):
                    self.end()
                    talk(sentence)

    def end(self) -> None:
        """Leave the line."""
        self._line.end()


def _state(state: dict[str, Any], controls: dict[str, Any]) -> list[str]:
    """Return what is to be said of how it goes, what matters most first."""
    bar, beat = divmod(int(state["tick"] // 4), 4)
    parts = [
        "▶" if state["rolling"] else "■",
        f"{bar + 1}|{beat + 1}",
        f"{state['tempo']:.1f} BPM",
        f"{state['in_hand']} bars in hand",
    ]
    parts += [f"{state[name]} {name}" for name in ("underruns", "late", "xruns") if state.get(name)]
    follow = state.get("follow")
    if follow and follow.get("lost"):
        parts.append("waiting for the clock")
    for name in ("muted", "soloed"):
        if controls.get(name):
            parts.append(f"{name}: {', '.join(controls[name])}")
    for name in ("density", "control", "loop"):
        if controls.get(name):
            parts.append(f"{name} {controls[name]}")
    return parts


def _sentences(message: dict[str, Any]) -> Sequence[str]:
    match message["event"]:
        case "picture":
            take = f"take {message['take']}" if message.get("take") else "composed as it plays"
            bars = f"{message['bars']} bars" if message["bars"] else "bars"
            head = f"{message['title']}: {bars} at {message['tempo']:.1f} BPM, {take}"
            return [*message.get("notes", ()), head]
        case "ready":
            ports = ", ".join(name for names in message["ports"].values() for name in names)
            found = [f"{message['backend']}: {ports}", *_missing(message["missing"])]
            return [*found, f"keys: {KEYS}"] if sys.stdin.isatty() else found
        case "cables":
            return _missing(message["missing"])
        case "take":
            if "project" in message:
                return [f"kept as take {message['take']}: {message['project']}", *message["notes"]]
            return [f"take {message['take']} from the next bar line on"]
        case "underrun":
            return [f"bar {message['bar'] + 1} was not composed in time; another was played"]
        case "restart":
            return [f"the {message['process']} ended by itself and was started again"]
        case "learned":
            where = f"controller {message['controller']} of channel {message['channel']}"
            return [f"{message['control']} is moved by {where} from now on"]
        case "note":
            return [str(message["text"])]
    return ()


def _missing(names: Sequence[str]) -> list[str]:
    return [f"There is no port {name!r} yet: it is connected when it is there." for name in names]


@contextmanager
def _keys(loop: asyncio.AbstractEventLoop, playing: Stream, as_json: bool) -> Iterator[None]:
    """Let keys control it while the body runs, where there is a terminal."""
    if as_json or not sys.stdin.isatty():
        yield
        return
    from cmt_bridge.live.keys import Keys

    keys = Keys(playing)
    if sys.platform == "win32":
        threading.Thread(target=_console, args=(loop, keys.press), daemon=True).start()
        yield
        return
    import termios
    import tty

    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    tty.setcbreak(number)

    def read() -> None:
        typed = b""
        with suppress(OSError):
            typed = os.read(number, MOST_TYPED)
        if typed:
            keys.press(typed)
        else:  # the terminal is gone, and nobody could end it any more
            loop.remove_reader(number)
            playing.stop()

    loop.add_reader(number, read)
    try:
        yield
    finally:
        loop.remove_reader(number)
        with suppress(termios.error):
            termios.tcsetattr(number, termios.TCSADRAIN, before)


def _console(loop: asyncio.AbstractEventLoop, press: Any) -> None:
    """Read the keys of Windows' console."""
    import msvcrt

    with suppress(RuntimeError):  # the loop has ended
        while True:
            key = msvcrt.getch()  # type: ignore[attr-defined]
            loop.call_soon_threadsafe(press, key + msvcrt.getch() if key in (b"\0", b"\xe0") else key)  # type: ignore[attr-defined]
