"""Show that the daemon loses, doubles and half-writes nothing, whatever happens to it; hurt it and count.

A real daemon (`cmt-bridge watch`) scores real clips, cut short and small from those of a folder, and meanwhile

    kills      daemon, worker or both are killed at random instants and in every stage, restarted at once; people ask
               for more takes meanwhile. No job loses a third worker, since then it is given up, as is documented;
               `given up` does just that, and kills the daemon more often. What was scored is compared with an
               undisturbed run, byte by byte.
    drop       a thousand files come at once, a tenth of them broken, in nested folders, others among them
    moves      files are copied slowly, renamed, moved, swapped, replaced and deleted before, while and after they are
               scored, and so are their folders
    full       the disk is full, and then is not
    unmounted  the watched folder is unmounted, gently and by force, and mounted again
    clock      files come from 1970 and from 2100, the wall clock jumps to and fro, and after a restart the monotonic
               clock begins elsewhere
    two        several daemons are started at once, on one folder and on folders in each other

What is counted, in contents of files and in requests: `lost` have no score or not the note that says why, `doubled`
have more than one; `half` are files under a final name that cannot be read or do not fit each other, `changed` are the
person's files that are not as they were, `stray` is what should not be where it is. `parts` were being written at a
kill and have a temporary name; the next daemon removes them once they are old. Memory is the peak of daemon and worker
in MB. Anything lost, doubled, half, changed or stray ends the script with 1. For Linux; what needs root is passed over
without it.

    python benchmarks/soak.py [--only kills,drop] [--kills 200] [--files 1000] [--seed 0]
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from soaking.clips import Clips
from soaking.clock import clock
from soaking.disks import full, unmounted
from soaking.drop import drop
from soaking.kills import kills
from soaking.ledger import Row
from soaking.mounts import in_namespace
from soaking.moves import moves
from soaking.trial import Soak
from soaking.two import two

HERE = Path(__file__).resolve().parents[1]
CLIPS = (HERE.parent / "shared" / "videos", HERE / "build" / "demo.mp4")
SCENARIOS: dict[str, Callable[[Soak], Iterator[Row]]] = {
    "kills": kills,
    "drop": drop,
    "moves": moves,
    "full": full,
    "unmounted": unmounted,
    "clock": clock,
    "two": two,
}
MOUNTING = ("full", "unmounted")
COUNTS = ("expected", "found", "lost", "doubled", "half", "changed", "stray", "parts")
SHOWN = 12  # problems of a scenario that are printed


def rows_of(name: str, soak: Soak, given: argparse.Namespace) -> Iterator[Row]:
    """Run a scenario, elsewhere if it mounts something, and show its rows as they come."""
    if name in MOUNTING and given.rows is None:
        command = [sys.executable, __file__, "--only", name, "--clips", str(given.clips), "--seed", str(given.seed)]
        rows = in_namespace([*command, *(["--model", given.model] if given.model else [])])
        if rows is None:
            print(f"{name} is passed over: mounting needs root and unshare.")
        yield from rows or []
        return
    for row in SCENARIOS[name](soak):
        show(row)
        yield row


def show(row: Row) -> None:
    print(f"\n{row.name}")
    for line in [*row.problems[:SHOWN], *row.facts]:
        print(f"  {line}")
    if len(row.problems) > SHOWN:
        print(f"  and {len(row.problems) - SHOWN} more problems")
    sys.stdout.flush()


def table(rows: Sequence[Row]) -> None:
    print(f"\n{'':12}" + "".join(f"{name:>9}" for name in COUNTS) + f"{'min':>7}{'daemon':>8}{'worker':>8}")
    for row in rows:
        counts = "".join(f"{getattr(row, name):9}" for name in COUNTS)
        print(f"{row.name:12}{counts}{row.minutes:7.1f}{row.daemon:8.1f}{row.worker:8.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(SCENARIOS), help="scenarios, with commas")
    parser.add_argument("--clips", type=Path, help="a folder of clips, or one")
    parser.add_argument("--model", help="name or path of a model; the shipped one else")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--idle", type=float, default=30.0, help="seconds to watch an idle daemon")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.clips = given.clips or next((path for path in CLIPS if path.exists()), None)
    if given.clips is None:
        sys.exit("no clips: give --clips, or run `make demo` first")
    chosen = [name for name in given.only.split(",") if name]
    if unknown := set(chosen) - set(SCENARIOS):
        sys.exit(f"no such scenario: {', '.join(sorted(unknown))}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    settings = '[score]\nprecision = "int8"\nseed = 7\n'
    if given.model:
        settings += f"model = {json.dumps(given.model)}\n"
    with tempfile.TemporaryDirectory(prefix="soak ") as folder:
        soak = Soak(Path(folder), Clips(given.clips), settings, given.kills, given.files, given.idle, given.seed)
        try:
            rows = [row for name in chosen for row in rows_of(name, soak, given)]
        finally:
            for world in soak.worlds:
                world.end()
    if given.rows is not None:
        given.rows.write_text(json.dumps([asdict(row) for row in rows]))
        return
    table(rows)
    if not all(row.is_good for row in rows):
        sys.exit("something was lost, doubled, half-written, changed or astray")


if __name__ == "__main__":
    main()
