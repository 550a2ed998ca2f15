"""Evaluation: what a model is worth, beside real held-out music and another model."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cmt_bridge.composition.codec import Grid, GridNotes, grid_of
from cmt_bridge.composition.realize import realize
from cmt_bridge.core.control import ControlTrack
from cmt_bridge.core.options import ComposeOptions
from cmt_bridge.core.tempo import TICKS_PER_BAR
from cmt_bridge.model.decoding import Decoding, compose
from cmt_bridge.model.event_decoder import EventEngine
from cmt_bridge.model.paper_engine import PaperEngine
from cmt_bridge.training.dataset import Dataset, Piece
from cmt_bridge.training.likelihood import infilling, losses_per_word, middles_of, windows_of
from cmt_bridge.training.measures.control_error import control_errors, mean_errors, steadiest
from cmt_bridge.training.measures.memory import Index
from cmt_bridge.training.measures.rhythm import grooving
from cmt_bridge.training.measures.structure import RANGES, structureness
from cmt_bridge.training.measures.table import compare, values_of
from cmt_bridge.training.measures.tonality import pitch_class_entropy, pitch_entropy

__all__ = ["CONTROLS", "EvaluationOptions", "Music", "evaluate", "music_of"]

CONTROLS = (0.0, 0.3, 0.7, 1.0)
FREE, FULL = CONTROLS[0], CONTROLS[-1]
EXCERPTS = 4  # of real music, per picture

Notes = tuple[GridNotes, int]
"""A piece: its notes and how many bars it has."""


@dataclass(frozen=True)
class EvaluationOptions:
    """How much to measure: `takes` per picture and control, at most `windows` of held-out music, `middles` to fill."""

    takes: int = 3
    windows: int = 160
    middles: int = 24
    seed: int = 0


@dataclass(frozen=True)
class Music:
    """Means over `pieces`: entropies in bits, similarities and structureness 0..1.

    `pitch_entropy` is over 128 pitches of a piece, `bar_entropy` and `phrase_entropy` over 12 pitch classes of a bar
    and of four. `grooving` divides a bar into 16, `grooving_64` into 64 as its source does. `structure` is over
    segments of `RANGES`, short to long.
    """

    pieces: int
    pitch_entropy: float
    bar_entropy: float
    phrase_entropy: float
    grooving: float
    grooving_64: float
    structure: tuple[float, ...]


def music_of(pieces: Sequence[Notes]) -> Music:
    """Measure pieces; what cannot be measured of one (such as repetition within two bars) counts in none."""

    def mean(measure: Callable[[GridNotes, int], float]) -> float:
        values = np.array([measure(notes, bars) for notes, bars in pieces])
        return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")

    return Music(
        pieces=len(pieces),
        pitch_entropy=mean(lambda notes, _: pitch_entropy(notes)),
        bar_entropy=mean(lambda notes, bars: pitch_class_entropy(notes, bars, window=1)),
        phrase_entropy=mean(lambda notes, bars: pitch_class_entropy(notes, bars, window=4)),
        grooving=mean(grooving),
        grooving_64=mean(lambda notes, bars: grooving(notes, bars, positions=64)),
        structure=tuple(mean(lambda notes, bars, r=r: structureness(notes, bars, *r)) for r in RANGES),  # type: ignore[misc]
    )


def excerpts(pieces: Sequence[Piece], lengths: Sequence[int], *, seed: int = 0) -> list[Notes]:
    """Return stretches of real music as long as `lengths` of bars, drawn from all pieces that are long enough."""
    rng = np.random.default_rng(seed)
    found = []
    for bars in lengths:
        long_enough = [piece for piece in pieces if piece.bars >= bars]
        if not long_enough:
            continue
        piece = long_enough[int(rng.integers(len(long_enough)))]
        first = int(rng.integers(piece.bars - bars + 1)) * TICKS_PER_BAR
        onset = piece.notes[:, Grid.ONSET]
        notes = np.array(piece.notes[(onset >= first) & (onset < first + bars * TICKS_PER_BAR)], np.int64)
        notes[:, Grid.ONSET] -= first
        found.append((notes, bars))
    return found


def compose_pieces(
    engine: PaperEngine | EventEngine, control: ControlTrack, share: float, options: EvaluationOptions
) -> list[GridNotes]:
    """Return the notes of some takes for a picture, followed with the chance C = `share`.

    The paper's network has no recall, as in the paper.
    """
    recall = ComposeOptions().recall if isinstance(engine, EventEngine) else 0.0
    chosen = ComposeOptions(density_control=(share,), beat_control=(share,), recall=recall)
    seeds = [options.seed + take for take in range(options.takes)]
    takes = compose(Decoding(engine, control, chosen, seeds=seeds))
    return [grid_of(realize(rows, control, chosen).tracks) for rows in takes]


def without_ending(notes: GridNotes, control: ControlTrack) -> Notes:
    """Return a composed piece as measured beside real music: without its last chord."""
    return notes[notes[:, Grid.ONSET] < control.ending * TICKS_PER_BAR], control.ending


def evaluate(
    engine: PaperEngine | EventEngine,
    dataset: Dataset,
    controls: Sequence[ControlTrack],
    options: EvaluationOptions | None = None,
    *,
    baseline: PaperEngine | EventEngine | None = None,
    others: Mapping[str, Sequence[Notes]] | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Measure a model on held-out music and on pictures; return plain data for JSON and for the table.

    `others` are rows of music that came from elsewhere. Parts that need pictures are left out where there are none.
    """
    options = options or EvaluationOptions()
    models = {"model": engine} | ({"baseline": baseline} if baseline is not None else {})
    windows = windows_of(dataset.held_out)[: options.windows]
    report: dict[str, Any] = {"options": asdict(options), "held_out": {"windows": len(windows)}}
    for name, each in models.items():
        tell(f"losses of the {name}")
        report["held_out"][name] = losses_per_word(each.network, windows)
    if isinstance(engine, EventEngine):
        tell("middles")
        stretches = middles_of(dataset.held_out, most=options.middles)
        filled = infilling(engine, stretches, seed=options.seed)
        report["infilling"] = {
            **asdict(filled),
            "seam": filled.seam,
            "seam_of_one": filled.seam_of_one,
            "stretches": len(stretches),
        }
    if controls:
        report |= _with_pictures(models, dataset, controls, options, tell)
    for name, pieces in (others or {}).items():
        report.setdefault("music", {})[name] = asdict(music_of(pieces))
    return dict(_plain(report))


def _plain(value: Any) -> Any:
    """Return data that JSON can say: null for what could not be measured."""
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _with_pictures(
    models: Mapping[str, PaperEngine | EventEngine],
    dataset: Dataset,
    controls: Sequence[ControlTrack],
    options: EvaluationOptions,
    tell: Callable[[str], None],
) -> dict[str, Any]:
    lengths = [control.ending for control in controls for _ in range(EXCERPTS)]
    real = excerpts(dataset.held_out, lengths, seed=options.seed)
    music = {"real": asdict(music_of(real))}
    obedience: dict[str, Any] = {}
    free: list[Notes] = []
    generated: list[Notes] = []
    for name, engine in models.items():
        for share in CONTROLS:
            tell(f"music of the {name} at C = {share:g}")
            takes = [
                (control, notes) for control in controls for notes in compose_pieces(engine, control, share, options)
            ]
            pieces = [without_ending(notes, control) for control, notes in takes]
            music[f"{name}, C = {share:g}"] = asdict(music_of(pieces))
            errors = mean_errors([control_errors(notes, control) for control, notes in takes])
            obedience.setdefault(name, {})[f"{share:g}"] = asdict(errors)
            if name == "model":
                generated += pieces
                free += pieces if share == FREE else []
    tell("sanity and memory")
    return {
        "music": music,
        "steadiest": _steadiest(controls),
        "control": obedience,
        "sanity": _sanity(real, free),
        "memory": _memory(dataset, generated, real),
    }


def _steadiest(controls: Sequence[ControlTrack]) -> dict[str, float]:
    """Return the grooving similarity of the steadiest rhythms that obey the pictures, over 16 and 64 positions."""
    rhythms = [(steadiest(control), control.ending) for control in controls]
    return {
        name: float(np.nanmean([grooving(*rhythm, positions=positions) for rhythm in rhythms]))
        for name, positions in (("grooving", TICKS_PER_BAR), ("grooving_64", 64))
    }


def _sanity(real: Sequence[Notes], free: Sequence[Notes]) -> list[dict[str, Any]]:
    rows = compare(*(np.stack([values_of(*piece) for piece in pieces]) for pieces in (real, free)))
    return [{**asdict(row), "within": row.within} for row in rows]


def _memory(dataset: Dataset, generated: Sequence[Notes], real: Sequence[Notes]) -> dict[str, Any]:
    """Return how much of composed pieces stands in the training music, and of held-out pieces beside it."""
    index = Index((np.asarray(piece.notes), piece.bars) for piece in dataset.training)
    rows = {}
    for name, pieces in (("model", generated), ("real", real)):
        runs = [index.longest_run(notes) for notes, _ in pieces]
        longest = max(runs, key=lambda run: run.notes)
        rows[name] = {
            "pieces": len(pieces),
            "longest_run_notes": longest.notes,
            "longest_run_bars": longest.bars,
            "longest_window_bars": max(index.longest_window(notes, bars) for notes, bars in pieces),
            "copied_windows": float(np.nanmean([index.copied_share(notes, bars) for notes, bars in pieces])),
        }
    return rows
