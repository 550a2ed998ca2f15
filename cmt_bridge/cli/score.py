"""`cmt-bridge score`: from a video to a score in one command."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cmt_bridge.cli.common import (
    analysis_options,
    instruments_of,
    json_option,
    named,
    precision_option,
    print_json,
    progress,
    talk,
)

if TYPE_CHECKING:
    from cmt_bridge.core.options import ComposeOptions
    from cmt_bridge.core.score import Score

__all__ = ["score"]


@click.command()
@click.argument("video", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help='Folder to write, instead of "NAME score" here.')
@click.option("-n", "--variations", type=click.IntRange(1, 64), default=1, show_default=True, help="Takes to compose.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the first take; the others count up.")
@click.option("--control", default="0.7", show_default=True, help="How closely to follow the picture, 0 to 1 (C).")
@click.option("--density-control", help="The same for motion speed and density alone.")
@click.option("--beat-control", help="The same for visual beats and strength alone.")
@click.option(
    "--recall",
    type=float,
    default=1.0,
    show_default=True,
    help="How strictly phrases return, A A B A, where the picture is followed; 0: not at all.",
)
@click.option("--instruments", help="Who plays, such as drums,bass,piano; all five else.")
@click.option("--style", default="", help="Such as rock or ballad, with a model that knows it; open else.")
@click.option("--key", default="", help="Such as C, F# or Am, with a model that knows keys; open else.")
@click.option("--temperature", default="", help="How adventurous: 1.1, or per column, pitch=1.1,duration=1.5.")
@click.option(
    "--nucleus", default="", help="Share of likely choices kept: 0.9, or per column, pitch=0.8; the model's own else."
)
@click.option("--polyphony", default="", help="Most notes at once, per instrument: piano=4,strings=3.")
@click.option("--pitches", default="", help="Lowest and highest MIDI pitch, per instrument: bass=28-50.")
@click.option("--model", help="Name of a model, or path of its weights; see `cmt-bridge models list`.")
@precision_option
@analysis_options
@json_option
def score(video: Path, output: Path | None, variations: int, as_json: bool, model: str | None, **given: Any) -> None:
    """Compose music for VIDEO: a folder with a MIDI file, score.json and metadata.json.

    VIDEO is a clip, a metadata.json or a video's .npz of the original CMT. The music begins with the picture, follows
    its motion, visual beats and length, and ends with it. Nothing is overwritten: a second run writes "NAME score
    take 2".

    Controls take one value, or values for bars counted from 1: --control 1-4:1,9:0.3 (others keep 0.7).

    \b
    Examples:
      cmt-bridge score clip.mp4
      cmt-bridge score clip.mp4 -n 5 --seed 7 --instruments piano,strings
      cmt-bridge score clip.mp4 --tempo 96 --control 1 -o music
    """
    from cmt_bridge.cli.common import analysis_of, talk_of_doubts
    from cmt_bridge.errors import UsageError
    from cmt_bridge.model.registry import DEFAULT
    from cmt_bridge.pipeline import Timings, deliver, look_at, score_picture

    if output is not None and output.name in ("", ".."):
        raise UsageError(
            f"-o needs the name of a folder to make, not {str(output)!r}.", hint="Give one such as -o music."
        )
    timings = Timings()
    options = _compose_options(given)
    with progress("Measuring") as done:
        picture = look_at(video, analysis_of(given), progress=done, timings=timings)
    if picture.metadata is not None:
        talk_of_doubts(video, picture.metadata, picture.damage)
    with progress("Composing") as done:
        scores = score_picture(
            picture,
            options,
            model=model or DEFAULT,
            precision=given["precision"],
            variations=variations,
            progress=done,
            timings=timings,
        )
    folder = output or Path(f"{picture.title} score")
    with timings.part("deliver"):
        folders = deliver(scores, picture, folder)
    seconds = {name: round(value, 2) for name, value in timings.seconds.items()}
    if as_json:
        takes = [_summary(one, path) for one, path in zip(scores, folders, strict=True)]
        print_json({"takes": takes, "seconds": seconds})
        return
    for one, path in zip(scores, folders, strict=True):
        talk(_sentence(one))
        click.echo(path)
    talk(", ".join(f"{name} {value:.1f} s" for name, value in seconds.items()))


def _summary(score: Score, folder: Path) -> dict[str, Any]:
    return {
        "folder": str(folder),
        "seed": score.provenance.seed,
        "tempo": score.tempo_map.bpm_at(0),
        "bars": score.bars,
        "duration": score.duration,
        "notes": {track.name: len(track.notes) for track in score.tracks},
        "markers": dict(Counter(marker.kind for marker in score.markers)),
    }


def _sentence(score: Score) -> str:
    notes = ", ".join(f"{track.name} {len(track.notes)}" for track in score.tracks)
    return f"{score.bars} bars at {score.tempo_map.bpm_at(0):.2f} BPM, seed {score.provenance.seed}: {notes} notes"


def _compose_options(given: dict[str, Any]) -> ComposeOptions:
    from cmt_bridge.core.instruments import Instrument
    from cmt_bridge.core.options import ComposeOptions

    default = ComposeOptions()
    columns = {column.name.lower(): column for column in default.temperature}
    names = {instrument.name.lower(): instrument for instrument in Instrument}
    return ComposeOptions(
        seed=given["seed"],
        style=given["style"].strip().lower(),
        key=given["key"].strip(),
        recall=given["recall"],
        density_control=_per_bar("--density-control", given["density_control"] or given["control"]),
        beat_control=_per_bar("--beat-control", given["beat_control"] or given["control"]),
        instruments=tuple(sorted(instruments_of("--instruments", given["instruments"] or ""))) or default.instruments,
        polyphony={**default.polyphony, **_per_name("polyphony", given["polyphony"], names, int)},
        pitches={**default.pitches, **_per_name("pitches", given["pitches"], names, _span)},
        temperature={**default.temperature, **_per_name("temperature", given["temperature"], columns, float)},
        nucleus=_per_name("nucleus", given["nucleus"], columns, float),
    )  # fmt: skip


def _span(text: str) -> tuple[int, int]:
    low, high = text.split("-")
    return int(low), int(high)


def _per_name(option: str, text: str, known: dict[str, Any], read: Any) -> dict[Any, Any]:
    """Read `a=1,b=2`, or one value for all."""
    from cmt_bridge.errors import UsageError

    values: dict[Any, Any] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = part.rpartition("=")
        try:
            values |= (
                {named(f"--{option}", name, known): read(value)}
                if equals
                else dict.fromkeys(known.values(), read(value))
            )
        except ValueError:
            raise UsageError(f"--{option} cannot read {part!r}.", hint="See `cmt-bridge score --help`.") from None
    return values


BAR_RANGE = re.compile(r"(\d+)(?:-(\d+))?:([\d.]+)")
MOST_BARS = 100_000


def _per_bar(option: str, text: str) -> tuple[float, ...]:
    """Read `0.7`, or `1-4:1,9:0.3` with bars from 1."""
    from cmt_bridge.core.options import DEFAULT_CONTROL
    from cmt_bridge.errors import UsageError

    wrong = UsageError(f"{option} cannot read {text!r}.", hint="Give 0.7, or values for bars such as 1-4:1,9:0.3.")
    if ":" not in text:
        try:
            return (float(text),)
        except ValueError:
            raise wrong from None
    bars: dict[int, float] = {}
    for part in text.split(","):
        found = BAR_RANGE.fullmatch(part.strip())
        if not found:
            raise wrong
        first, last = int(found[1]), int(found[2] or found[1])
        try:
            value = float(found[3])
        except ValueError:
            raise wrong from None
        if not 1 <= first <= last <= MOST_BARS:
            raise wrong
        bars |= dict.fromkeys(range(first, last + 1), value)
    return tuple(bars.get(bar, DEFAULT_CONTROL) for bar in range(1, max(bars) + 2))
