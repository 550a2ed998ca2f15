"""Play to a real JACK and a real Ardour, and count and time what arrives at an independent recorder.

    playing    dense music for minutes, all five tracks on each sixteenth, while a composer computes at full speed:
               notes lost, out of order, hanging, and the error of each at the receiver; by JACK's callback and by
               rtmidi, beside the same music sent plainly in the same run (python-rtmidi from a thread, a bare process
               callback). Our MIDI clock and MTC of that run: jitter, drift, and whether they state the right time.
    following  `hardour` plays, stops and locates at random, and players follow its MTC, its MIDI clock and JACK's
               transport at once: time to the first right note, error of position afterwards, wrong and hanging notes
    tempos     the same where Ardour's session changes its tempo, by all but its clock, which passes over that
    clock      a sender whose clock changes its tempo, jumps and loops, on time and late
    recording  Ardour records what is played over JACK, and its session is read back: every note on its tick
    beginning  real clips that nobody measured before, with a daemon that keeps the model at hand and without: from the
               command to the first note
    kills      composer, player and parent are killed at random moments: notes that hang after the restart

What must be heard is computed here, apart from the package. Anything missed ends the script with 1. For Linux; needs
jackd2 and ardour.

    python benchmarks/live.py [--only playing,following] [--minutes 10] [--locates 100] [--kills 100] [--seed 0]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from living.beginning import begin
from living.clocked import clocked
from living.figures import Result
from living.following import CHANGING, FIRST, follow
from living.kills import kill
from living.playing import play
from living.recording import take_down

SCENARIOS: dict[str, Callable[[Path, argparse.Namespace], Result]] = {
    "playing": lambda folder, given: play(
        folder, given.minutes, loaded=not given.idle, realtime=given.realtime, patient=given.patient
    ),
    "following": lambda folder, given: follow(folder, given.kinds.split(","), given.locates, given.seed),
    "tempos": lambda folder, given: follow(folder, CHANGING, max(1, given.locates // 5), given.seed, changing=True),
    "clock": lambda folder, given: clocked(folder, given.seed),
    "recording": lambda folder, _: take_down(folder),
    "beginning": lambda folder, _: begin(folder),
    "kills": lambda folder, given: kill(folder, given.kills, given.seed),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(SCENARIOS), help="scenarios, with commas")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--locates", type=int, default=100)
    parser.add_argument("--kinds", default=",".join(FIRST), help="what is followed, with commas")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--idle", action="store_true", help="let no composer compute meanwhile")
    parser.add_argument("--realtime", action="store_true", help="let JACK run with realtime priority")
    parser.add_argument("--patient", action="store_true", help="let JACK wait for who is late: for a busy machine")
    given = parser.parse_args()
    chosen = [name for name in given.only.split(",") if name]
    if unknown := set(chosen) - set(SCENARIOS):
        sys.exit(f"no such scenario: {', '.join(sorted(unknown))}")
    faults = []
    for name in chosen:
        with tempfile.TemporaryDirectory(prefix="live ") as folder:
            result = SCENARIOS[name](Path(folder), given)
        print(f"\n{name}", *result.lines, sep="\n  ", flush=True)
        faults += [f"{name}: {fault}" for fault in result.faults]
    print("", *faults, sep="\n")
    if faults:
        sys.exit("not all is as it must be")


if __name__ == "__main__":
    main()
