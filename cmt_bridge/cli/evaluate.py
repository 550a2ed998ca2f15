"""`cmt-bridge evaluate`: what a model is worth, in figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cmt_bridge.cli.common import json_option, print_json, talk

if TYPE_CHECKING:
    from cmt_bridge.training.evaluation import Notes

__all__ = ["evaluate"]

# Table 1 of the paper, on LPD: pitch-histogram entropy, grooving similarity, structureness; and its control errors.
PAPER_MUSIC = {
    "paper: real (LPD)": (4.452, 0.968, 0.488),
    "paper: CMT, free": (3.617, 0.810, 0.241),
    "paper: CMT, controlled": (4.113, 0.599, 0.200),
}
PAPER_CONTROL = {"density": 0.107, "strength": 0.001, "time": 0.028}


@click.command(short_help="Measure what a model is worth.")
@click.argument("checkpoint")
@click.option("--data", "dataset", required=True, type=click.Path(path_type=Path), help="Dataset with held-out songs.")
@click.option("--baseline", help="Another model to measure beside it: a name or a path.")
@click.option(
    "--picture",
    "pictures",
    multiple=True,
    type=click.Path(path_type=Path),
    help="What to compose for: a video, metadata.json or video .npz, or a folder of such. May be repeated.",
)
@click.option("--row", "rows", multiple=True, metavar="NAME=FOLDER", help="Also measure the MIDI files of a folder.")
@click.option("--takes", type=click.IntRange(min=1), default=3, show_default=True, help="Takes per picture and C.")
@click.option("--windows", type=click.IntRange(min=1), default=160, show_default=True, help="Most held-out stretches.")
@click.option("--middles", type=click.IntRange(min=1), default=24, show_default=True, help="Most middles to fill.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="JSON file to write, instead of NAME.evaluation.json."
)
@json_option
def evaluate(
    checkpoint: str,
    dataset: Path,
    baseline: str | None,
    pictures: tuple[Path, ...],
    rows: tuple[str, ...],
    output: Path | None,
    as_json: bool,
    **given: int,
) -> None:
    """Measure CHECKPOINT, a model's name or path, on held-out music: one table, and the same as JSON.

    Losses on held-out songs, and of middles heard from both sides; with pictures also what it composes for them, free
    and controlled, beside real music of the same lengths: entropy, groove, structure, obedience, sanity, and how much
    of it stands in the training music.

    \b
    Example:
      cmt-bridge evaluate mine --data dataset --baseline cmt-small --picture clips
    """
    from cmt_bridge.core.files import fresh_path
    from cmt_bridge.model.registry import find_model
    from cmt_bridge.outputs.scorefile import write_json
    from cmt_bridge.scoring.pipeline import look_at
    from cmt_bridge.training.dataset import open_dataset

    entry = find_model(checkpoint)
    beside = find_model(baseline) if baseline else None
    found = open_dataset(dataset)
    others = dict(_row(row) for row in rows)

    import torch

    from cmt_bridge.model.checkpoint import load_network
    from cmt_bridge.model.decoding import engine_for
    from cmt_bridge.training.evaluation import EvaluationOptions
    from cmt_bridge.training.evaluation import evaluate as run

    torch.set_num_threads(1)
    engine = engine_for(load_network(entry.path))
    other = engine_for(load_network(beside.path)) if beside else None
    controls = []
    for path in _files(pictures):
        talk(f"looking at {path.name}")
        control = look_at(path).control
        if control.ending >= LEAST_BARS:
            controls.append(control)
        else:
            talk(f"{path.name} is too short to measure: {control.ending} bars")
    report = run(engine, found, controls, EvaluationOptions(**given), baseline=other, others=others, tell=talk)
    report = {"model": entry.name, "sha256": entry.sha256, "baseline": baseline or "", **report}
    target = output or fresh_path(Path(f"{entry.name}.evaluation.json"))
    write_json(report, target)
    if as_json:
        print_json(report)
    else:
        click.echo("\n".join(_table(report)))
    talk(f"written to {target}")


LEAST_BARS = 6
SUFFIXES = {".json", ".npz", ".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".ts", ".flv", ".gif", ".3gp"}


def _files(pictures: Sequence[Path]) -> Iterable[Path]:
    for path in pictures:
        if path.is_dir():
            yield from sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES)
        else:
            yield path


def _row(text: str) -> tuple[str, list[Notes]]:
    from cmt_bridge.composition.codec import bars_of, quantize
    from cmt_bridge.errors import InputError, UsageError
    from cmt_bridge.midi.file import find_midi
    from cmt_bridge.midi.song import read_song

    name, sign, folder = text.partition("=")
    if not sign or not name:
        raise UsageError(f"--row needs NAME=FOLDER, not {text!r}.", hint="Such as --row theirs=~/midi/theirs.")
    paths = find_midi(Path(folder))
    if not paths:
        raise InputError(f"No MIDI file under {folder}.", hint="Give a folder of .mid files.")
    pieces = []
    for path in paths:
        notes, length = quantize(read_song(path))
        pieces.append((notes, max(1, bars_of(length) - 1)))
    return name, pieces


def _line(name: str, values: Iterable[float | None], width: int = 9) -> str:
    return f"{name:<28}" + "".join(f"{'–':>{width}}" if value is None else f"{value:{width}.3f}" for value in values)


def _head(name: str, columns: Iterable[str], width: int = 9) -> str:
    return f"{name:<28}" + "".join(f"{column:>{width}}" for column in columns)


def _table(report: Mapping[str, Any]) -> list[str]:
    names = {"model": report["model"], "baseline": report["baseline"]}
    lines = [f"Held-out loss, nats per word of the paper's ({report['held_out']['windows']} stretches)"]
    attributes = ("notes", "type", "beat", "density", "instrument", "strength", "pitch", "duration", "velocity")
    short = ("sum", "type", "beat", "density", "instr.", "strength", "pitch", "duration", "velocity")
    lines.append(_head("", short))
    for key, name in names.items():
        if key in report["held_out"]:
            losses = report["held_out"][key]
            lines.append(_line(name, [losses.get(attribute) for attribute in attributes]))
    lines.append("(the sum leaves velocity out, which the paper's network does not say)")
    if "infilling" in report:
        filled = report["infilling"]
        lines += [
            "",
            f"Between two sides, nats per event ({filled['stretches']} stretches)",
            _line("middle, both sides heard", [filled["middle_both"]]),
            _line("middle, the left alone", [filled["middle_left"]]),
            _line("after the true middle", [filled["after_true"]]),
            _line("after a middle for both", [filled["after_both"]]),
            _line("after one for the left", [filled["after_left"]]),
            _line("after the best of eight", [filled["after_best"]]),
            _line("right seam, best to real", [filled["seam"]]),
            _line("right seam, first to real", [filled["seam_of_one"]]),
        ]
    if "music" in report:
        columns = ("H 128", "H bar", "H 4 bars", "groove", "gr. 64", "SI 1.5-4", "SI 4-7.5", "SI 7.5-")
        lines += [
            "",
            "Music: entropy in bits, grooving similarity, structureness by length in bars",
            _head("", columns),
        ]
        for name, row in report["music"].items():
            values = [row[k] for k in ("pitch_entropy", "bar_entropy", "phrase_entropy", "grooving", "grooving_64")]
            key, _, rest = name.partition(",")
            lines.append(_line(names.get(key, key) + ("," + rest if rest else ""), [*values, *row["structure"]]))
        if steady := report.get("steadiest"):
            values = [None, None, None, steady["grooving"], steady["grooving_64"]]
            lines.append(_line("steadiest that obeys, C = 1", values))
        for name, (entropy, groove, structure) in PAPER_MUSIC.items():
            lines.append(_line(name, [entropy, None, None, None, groove, structure]))
    if "control" in report:
        lines += ["", "Control error, mean absolute, in the paper's units", _head("", PAPER_CONTROL)]
        for key, by_share in report["control"].items():
            for share, row in by_share.items():
                lines.append(_line(f"{names[key]}, C = {share}", [row[column] for column in PAPER_CONTROL]))
        lines.append(_line("paper, C = 0.7", PAPER_CONTROL.values()))
    if "sanity" in report:
        lines += ["", "Sanity: free music beside held-out", _head("", ("10 %", "50 %", "90 %", "ours", "within"))]
        for row in report["sanity"]:
            values = [row["low"], row["middle"], row["high"], row["generated"]]
            lines.append(_line(row["name"], values) + f"{'yes' if row['within'] else 'no':>9}")
        lines.append(f"{sum(row['within'] for row in report['sanity'])} of {len(report['sanity'])} within")
    if "memory" in report:
        lines += ["", "Memory: what stands in the training music", _head("", ("notes", "bars", "window", "copied"))]
        for key, row in report["memory"].items():
            values = [
                row[k] for k in ("longest_run_notes", "longest_run_bars", "longest_window_bars", "copied_windows")
            ]
            lines.append(_line(names.get(key, "held-out music"), values))
        lines.append("(longest run in notes and bars, longest window in bars, share of 4-bar windows)")
    return lines
