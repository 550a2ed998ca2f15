"""Write down MIDI that comes over JACK: `recorder.py NAME PORTS` prints its inputs, and at the end of its input all."""

from __future__ import annotations

import gc
import json
import sys
import time

import jack


def main() -> None:
    name, count = sys.argv[1], int(sys.argv[2])
    client = jack.Client(name, no_start_server=True)
    inputs = [client.midi_inports.register(f"in {number + 1}") for number in range(count)]
    events: list[tuple[int, int, bytes, int]] = []
    motions: list[tuple[int, bool, int]] = []
    xruns = []
    motion = [False, 0]  # whether it rolls, and the frame at frame time 0
    missed: list[tuple[int, int]] = []
    last = [0]  # frame time after the last period
    rate = client.samplerate

    @client.set_process_callback
    def process(frames: int) -> None:
        start = client.last_frame_time
        if start != last[0] and last[0]:
            missed.append((last[0], start))
        last[0] = start + frames
        now = time.monotonic_ns()
        state, position = client.transport_query_struct()
        rolls = state == jack.ROLLING
        frame = position.frame
        where = [rolls, frame - start if rolls else frame]
        if where != motion:
            motion[:] = where
            motions.append((start, rolls, frame))
        for number, port in enumerate(inputs):
            for offset, data in port.incoming_midi_events():
                events.append((start + offset, number, bytes(data), now + offset * 1_000_000_000 // rate))

    @client.set_xrun_callback
    def xrun(delay: float) -> None:
        xruns.append(delay)

    gc.disable()
    client.activate()
    print(json.dumps([port.name for port in inputs]), flush=True)
    sys.stdin.read()
    client.deactivate()
    heard = [(frame, port, data.hex(), at) for frame, port, data, at in events]
    print(json.dumps({"events": heard, "motions": motions, "missed": missed, "xruns": len(xruns)}))
    client.close()


if __name__ == "__main__":
    main()
