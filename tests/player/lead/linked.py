"""Lead a Link session in a network of its own, and print what a peer sees of it: bpm, phase and whether it plays."""

from __future__ import annotations

import json
import sys
import time

import link

from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.player.lead.link import LinkLeader
from cmt_bridge.player.motion import Change, Motion
from cmt_bridge.player.timebase import Timebase

PERIOD = 5_000_000  # ns
PATIENCE = 10.0  # s


def main() -> None:
    peer = link.Link(77.0)
    peer.startStopSyncEnabled = True
    peer.enabled = True
    timebase = Timebase("time", TempoMap.of([(0, 500_000), (4, 400_000)]))
    leader = LinkLeader(timebase, 10**9)
    until = time.monotonic() + PATIENCE
    while peer.numPeers() == 0 and time.monotonic() < until:
        time.sleep(0.01)
    begin = time.monotonic_ns() + 400_000_000
    seen = []
    now = time.monotonic_ns()

    def go_on(last: int) -> None:
        nonlocal now
        while now < last:
            time.sleep(max(0.0, (now - time.monotonic_ns()) / 1e9))
            leader.render(now + PERIOD)
            now += PERIOD

    def look(at: int) -> None:
        """Look at what the peer makes of a moment that is a little ago."""
        go_on(at + 150_000_000)
        state = peer.captureAppSessionState()
        micros = peer.clock().micros() + (at - time.monotonic_ns()) // 1000
        seen.append((state.tempo(), state.phaseAtTime(micros, 4.0), state.isPlaying()))

    go_on(begin - 300_000_000)
    leader.change(Change(Motion(begin, 0, 1.0)), "start")
    look(begin + 250_000_000)  # half a beat after the start
    look(begin + 700_000_000)  # half a beat after the tempo's change
    leader.change(Change(Motion(begin + 1_000_000_000, 10**9)), "stop")
    look(begin + 1_200_000_000)
    leader.close()
    peer.enabled = False
    sys.stdout.write(json.dumps(seen))


if __name__ == "__main__":
    main()
