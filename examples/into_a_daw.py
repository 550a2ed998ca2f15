"""From a clip into a DAW: score it, compose a section anew, and write what that DAW opens best.

Run it with `python examples/into_a_daw.py HOST clip.mp4 [model]`, where HOST is reaper, ardour, bitwig, studio-one,
cubase, logic, garageband, live or fl-studio. It says what to do next, and which page has the rest.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from cmt_bridge.core.hosts import HOSTS
from cmt_bridge.model.registry import DEFAULT
from cmt_bridge.scoring.export import arrangement_of, export
from cmt_bridge.scoring.hosts import page_of
from cmt_bridge.scoring.regenerate import RegenerateRequest, regenerate
from cmt_bridge.scoring.score import ScoreRequest, score


def main() -> None:
    parser = argparse.ArgumentParser(description="Score a clip and write what a DAW opens best.")
    parser.add_argument("host", choices=HOSTS)
    parser.add_argument("clip", type=Path, help="a video; its takes lie beside it afterwards")
    parser.add_argument("model", nargs="?", default=DEFAULT, help="name of a model, or path of its weights")
    given = parser.parse_args()
    host, clip, model = HOSTS[given.host], given.clip, given.model

    score(ScoreRequest(clip, {"model": model, "control": "0.8"}), lambda _, __: None)
    regenerate(RegenerateRequest(clip, bars="1-2", tracks=("bass",), seed=1), lambda _, __: None)

    arrangement, _, take = arrangement_of(clip)
    versions = ", ".join(version.name for version in arrangement.versions)
    print(f"1. {clip.name} is scored: {versions}; take {take} is the one that is heard.")
    for number, part in enumerate(arrangement.version.parts, 1):
        print(f"   track {number}: {part.name}, channel {part.channel + 1}, {len(part.notes)} notes")

    for made in export(clip, [host.name], start="01:00:00:00"):
        print(f"2. For {host.title}: {made.path}")
        opened = made.path.suffix == ".mid"
        print(f"3. {host.midi if opened else f'Open it in {host.title}, and put your instruments on the tracks.'}")
    print(f"4. Play it live, follow each other, compose more: {page_of(host)}")


if __name__ == "__main__":
    main()
