from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

MEET = """
import time, link
from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.player.follow.link import LinkFollower
from cmt_bridge.player.timebase import BEATS, Timebase

RATE = 48000
daw = link.Link(133.0)
daw.startStopSyncEnabled = True
daw.enabled = True
follower = LinkFollower(Timebase(BEATS, TempoMap.constant(100)), RATE)
begun = time.monotonic()
now = lambda: int((time.monotonic() - begun) * RATE)
changes = []
def follow(seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for change in follower.poll(now()):
            changes.append(change)
        time.sleep(0.005)
def expected():
    state = daw.captureSessionState()
    return state.beatAtTime(daw.clock().micros(), 4.0)
follow(3.0)
assert follower.state["peers"] == 1, follower.state
state = daw.captureSessionState()
state.setTempo(133.0, daw.clock().micros())
daw.commitSessionState(state)
follow(1.0)
assert abs(follower.state["tempo"] - 133.0) < 0.01, follower.state
assert not changes, changes
state = daw.captureSessionState()
state.setIsPlayingAndRequestBeatAtTime(True, daw.clock().micros(), 0.0, 4.0)
daw.commitSessionState(state)
follow(3.0)
assert changes[0].jump and changes[0].motion.is_rolling
off = (changes[-1].motion.position_at(now()) / 4.0 - expected()) % 4.0
assert min(off, 4.0 - off) < 0.05, off
state = daw.captureSessionState()
state.setTempo(90.0, daw.clock().micros())
daw.commitSessionState(state)
follow(2.0)
assert not any(change.jump for change in changes[1:])
off = (changes[-1].motion.position_at(now()) / 4.0 - expected()) % 4.0
assert min(off, 4.0 - off) < 0.05, off
state = daw.captureSessionState()
state.setIsPlaying(False, daw.clock().micros())
daw.commitSessionState(state)
follow(1.0)
assert changes[-1].jump and not changes[-1].motion.is_rolling
print("met")
"""


@pytest.mark.realtime
def test_a_link_session_of_two_is_followed() -> None:
    if shutil.which("unshare") is None:
        pytest.skip("needs a network of its own, which Linux makes with unshare")
    script = 'ip link set lo up && exec "$0" -c "$1"'
    command = ["unshare", "--net", "--map-root-user", "sh", "-c", script, sys.executable, MEET]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    if "unshare" in done.stderr:
        pytest.skip(f"no network of its own can be made here: {done.stderr}")
    assert done.stdout == "met\n", done.stderr
