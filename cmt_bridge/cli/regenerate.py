"""`cmt-bridge regenerate`: bars of a score anew, every other note as it was."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cmt_bridge.cli.common import instruments_of, json_option, precision_option, print_json, progress, talk

if TYPE_CHECKING:
    from cmt_bridge.core.instruments import Instrument
    from cmt_bridge.core.options import ComposeOptions
    from cmt_bridge.core.score import Score
    from cmt_bridge.regeneration import Regenerated, Request

__all__ = ["regenerate"]


@click.command()
@click.argument("score", type=click.Path(path_type=Path))
@click.option("--bars", help="Bars as a DAW counts them, the last included: 4-8, or 4-8,13.")
@click.option("--from", "from_seconds", type=float, help="Instead: from the bar that holds this second …")
@click.option("--to", "to_seconds", type=float, help="… to the one that holds this.")
@click.option("--tracks", default="", help="Only these tracks, such as drums,bass; all that the score asked for else.")
@click.option("--lock", default="", help="All tracks but these.")
@click.option("-n", "--variations", type=click.IntRange(1, 64), default=1, show_default=True, help="Takes to keep.")
@click.option(
    "--candidates",
    type=click.IntRange(1, 64),
    default=8,
    show_default=True,
    help="How many to compose; the takes kept are those that lead best into what follows.",
)
@click.option("--seed", type=int, help="Seed of the first candidate; a new one else.")
@click.option("--control", type=float, help="How closely to follow the picture, 0 to 1; as the score did else.")
@click.option("--density", type=int, default=0, help="Onsets per bar more (2) or less (-2) than the picture asks for.")
@click.option("--temperature", type=float, help="How adventurous; as for the score else.")
@click.option("--model", help="Name of a model, or path of its weights; the one that made the score else.")
@precision_option
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder to write, instead of the next take.")
@json_option
def regenerate(score: Path, **given: Any) -> None:
    """Compose bars of SCORE anew: a score folder or its score.json. Every other note stays as it is.

    The result is a new take beside the score, "NAME score take 2" and so on; nothing is overwritten. The new bars hear
    what comes before and after them, and follow the picture as the score does.

    \b
    Examples:
      cmt-bridge regenerate "clip score" --bars 4-8
      cmt-bridge regenerate "clip score" --bars 4-8 --tracks drums,bass -n 3
      cmt-bridge regenerate "clip score" --from 12.5 --to 20 --lock piano --density -3
    """
    from dataclasses import replace

    from cmt_bridge.outputs.scorefile import find_score, read_score
    from cmt_bridge.pipeline import Timings, fresh_folder, load_engine, write_take
    from cmt_bridge.regeneration import regenerate as run

    timings = Timings()
    piece = read_score(score)
    home = find_score(score).parent.absolute()
    made = _made_with(piece, score)
    options = _options(made, given)
    request = _request(piece, made.instruments, given)
    metadata, control = _picture(home, piece)
    if given["density"]:
        lively = tuple(max(1, min(16, density + given["density"])) for density in control.density)
        control = replace(control, density=lively)
    with timings.part("load"):
        entry, engine = load_engine(given["model"] or _model_of(piece), given["precision"])
    note = {"model": entry.name, "model_sha256": entry.sha256, "precision": given["precision"]}
    with progress("Composing") as done, timings.part("compose"):
        found = run(
            piece,
            control,
            request,
            options,
            engine,
            candidates=max(given["candidates"], given["variations"]),
            note=note | _said(given),
            progress=done,
        )
    kept = found[: given["variations"]]
    title = piece.title or home.name
    base = home.with_name(re.sub(r" take \d+$", "", home.name))
    with timings.part("deliver"):
        folders = [write_take(each.score, metadata, title, fresh_folder(given["output"] or base)) for each in kept]
    seconds = {name: round(value, 2) for name, value in timings.seconds.items()}
    if given["as_json"]:
        takes = [_summary(each, path) for each, path in zip(kept, folders, strict=True)]
        print_json({"takes": takes, "candidates": [_rank(each) for each in found], "seconds": seconds})
        return
    for each, path in zip(kept, folders, strict=True):
        talk(_sentence(each, request))
        click.echo(path)
    talk(", ".join(f"{name} {value:.1f} s" for name, value in seconds.items()))


def _request(score: Score, players: Sequence[Instrument], given: dict[str, Any]) -> Request:
    from cmt_bridge.errors import UsageError
    from cmt_bridge.regeneration import Request

    times = (given["from_seconds"], given["to_seconds"])
    if (given["bars"] is None) == (times == (None, None)):
        raise UsageError("Which bars?", hint="Give --bars such as 4-8, or --from and --to in seconds.")
    if given["bars"] is not None:
        bars = tuple(_range(part) for part in given["bars"].split(","))
    else:
        low = 0.0 if times[0] is None else times[0]
        high = score.duration or float(score.tempo_map.seconds(score.ticks)) if times[1] is None else times[1]
        first, last = (int(score.tempo_map.ticks(seconds) // 16) for seconds in (low, high))
        bars = ((first, min(score.bars, last + 1)),)
    chosen = instruments_of("--tracks", given["tracks"]) or players
    locked = instruments_of("--lock", given["lock"])
    request = Request(bars, tuple(sorted(set(chosen) - set(locked))))
    request.check(score)
    return request


def _range(text: str) -> tuple[int, int]:
    from cmt_bridge.errors import UsageError

    found = re.fullmatch(r"\s*(\d+)(?:\s*-\s*(\d+))?\s*", text)
    if not found:
        raise UsageError(f"--bars cannot read {text!r}.", hint="Give bars such as 4-8, or 4-8,13.")
    return int(found[1]) - 1, int(found[2] or found[1])


def _options(made: ComposeOptions, given: dict[str, Any]) -> ComposeOptions:
    """Give the options that the score was made with, but for what is wished otherwise."""
    import secrets
    from dataclasses import replace

    if given["control"] is not None:
        made = replace(made, density_control=(given["control"],), beat_control=(given["control"],))
    if given["density"]:
        made = replace(made, density_control=(1.0,))
    if given["temperature"] is not None:
        made = replace(made, temperature=dict.fromkeys(made.temperature, given["temperature"]))
    return replace(made, seed=secrets.randbelow(2**31) if given["seed"] is None else given["seed"])


def _made_with(score: Score, source: Path) -> ComposeOptions:
    from cmt_bridge.core.options import ComposeOptions
    from cmt_bridge.errors import ScoreError, UsageError

    try:
        return ComposeOptions.from_json(score.provenance.options)
    except (KeyError, TypeError, ValueError, AttributeError, UsageError) as error:
        raise ScoreError(
            f"The options in {source} are damaged: {error!r}.", hint="Write it anew with `score`."
        ) from error


def _picture(home: Path, score: Score) -> tuple[Any, Any]:
    """Give the metadata of the picture, if it lies beside the score, and what it asks for; else what the score has."""
    from cmt_bridge.compose.plan import plan
    from cmt_bridge.outputs.scorefile import read_metadata
    from cmt_bridge.pipeline import METADATA_NAME
    from cmt_bridge.regeneration import control_of

    if not (home / METADATA_NAME).is_file():
        return None, control_of(score)
    metadata = read_metadata(home / METADATA_NAME)
    control = plan(metadata)
    return metadata, control if control.bars == score.bars else control_of(score)


def _model_of(score: Score) -> str:
    """Give the model that made a score, where it is at hand; the default else."""
    from cmt_bridge.errors import CmtBridgeError
    from cmt_bridge.model.registry import DEFAULT, find_model

    try:
        return find_model(score.provenance.model).name if score.provenance.model else DEFAULT
    except CmtBridgeError:
        return DEFAULT


def _said(given: dict[str, Any]) -> dict[str, Any]:
    names = ("control", "density", "temperature")
    return {name: given[name] for name in names if given[name] is not None}


def _rank(each: Regenerated) -> dict[str, Any]:
    return {"seed": each.seed, "surprise": each.surprise}


def _summary(each: Regenerated, folder: Path) -> dict[str, Any]:
    notes = {track.name: len(track.notes) for track in each.score.tracks}
    return {"folder": str(folder), **_rank(each), "held": each.held, "notes": notes}


def _sentence(each: Regenerated, request: Request) -> str:
    bars = ", ".join(f"{first + 1}-{last}" if last > first + 1 else str(last) for first, last in request.bars)
    tracks = ", ".join(instrument.title for instrument in request.instruments)
    held = f"; {each.held} notes from before sound into them and were left" if each.held else ""
    return f"bars {bars} of {tracks}, seed {each.seed}{held}"
