"""Play a list of messages in one of two plain ways: `probe.py thread|callback NAME FILE`; `go` on its input starts it.

`thread` is python-rtmidi from a thread that sleeps until each is due, `callback` a JACK process callback that writes
each at its sample. The file holds pairs of seconds and bytes in hexadecimal.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from pathlib import Path

LEAD = 1.0  # s, before the first message


def by_thread(name: str, messages: list[tuple[float, bytes]]) -> None:
    """Send from a thread."""
    import rtmidi

    port = rtmidi.MidiOut(rtmidi.API_UNIX_JACK, name=name)
    port.open_virtual_port("out")
    print("ready", flush=True)
    sys.stdin.readline()
    start = time.monotonic() + LEAD
    for seconds, data in messages:
        time.sleep(max(0.0, start + seconds - time.monotonic()))
        port.send_message(data)
    sys.stdin.read()


def by_callback(name: str, messages: list[tuple[float, bytes]]) -> None:
    """Send from the process callback."""
    import jack

    client = jack.Client(name, no_start_server=True)
    port = client.midi_outports.register("out")
    rate = client.samplerate
    waiting = [(round(seconds * rate), data) for seconds, data in reversed(messages)]
    started: list[int] = []
    goes: list[bool] = []

    @client.set_process_callback
    def process(frames: int) -> None:
        port.clear_buffer()
        now = client.last_frame_time
        if goes and not started:
            started.append(now + round(LEAD * rate))
        while started and waiting and waiting[-1][0] + started[0] < now + frames:
            frame, data = waiting.pop()
            port.write_midi_event(max(0, frame + started[0] - now), data)

    client.activate()
    print("ready", flush=True)
    sys.stdin.readline()
    goes.append(True)
    sys.stdin.read()
    client.deactivate()
    client.close()


def main() -> None:
    way, name, path = sys.argv[1:]
    messages = [(seconds, bytes.fromhex(data)) for seconds, data in json.loads(Path(path).read_text())]
    gc.disable()
    (by_thread if way == "thread" else by_callback)(name, messages)


if __name__ == "__main__":
    main()
