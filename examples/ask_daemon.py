"""Ask the daemon that watches a clip's folder for bars anew, and follow it.

Run it with `python examples/ask_daemon.py clip.mp4 4-8` while `cmt-bridge watch FOLDER` runs.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cmt_bridge.service.client import Client


def main() -> None:
    parser = argparse.ArgumentParser(description="Ask the daemon that watches a clip's folder for bars anew.")
    parser.add_argument("clip", type=Path, help="a scored clip in the watched folder")
    parser.add_argument("bars", help="bars as a DAW counts them, such as 4-8")
    given = parser.parse_args()
    clip, bars = given.clip.absolute(), given.bars
    client = Client.for_path(clip)
    if client is None:
        raise SystemExit(f"{clip.parent} is not watched: cmt-bridge watch {clip.parent}")
    wish = {"path": str(clip), "bars": bars, "tracks": ["piano", "strings"], "variations": 2}
    job = client.request("POST", "/v1/regenerate", wish)
    done = client.follow(job["id"], lambda stage, share: print(f"{stage} {share:.0%}", file=sys.stderr))
    if done["state"] != "done":
        raise SystemExit(done["reason"])
    for take in done["outcome"]["takes"]:
        print(f"take {take['take']}: seed {take['seed']}, {take['folder']}")


if __name__ == "__main__":
    main()
