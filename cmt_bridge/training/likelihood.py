"""How well a network foresees real music: losses of held-out stretches, of middles, and of what follows a seam."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from cmt_bridge.composition.codec import Grid, GridNotes, encode
from cmt_bridge.core.control import ControlTrack
from cmt_bridge.core.events import SAID, START, EventRows, Field, Part, players_mask
from cmt_bridge.core.instruments import Instrument
from cmt_bridge.core.options import ComposeOptions
from cmt_bridge.core.tempo import TICKS_PER_BAR, TempoMap
from cmt_bridge.core.tokens import COLUMNS, SAMPLED, Column, TokenRows, beat_timing
from cmt_bridge.model.decoding import Decoding, compose
from cmt_bridge.model.event_decoder import EventEngine
from cmt_bridge.model.event_network import EventTransformer
from cmt_bridge.model.likelihood import field_nll, nll
from cmt_bridge.model.paper_network import PaperNetwork, initial_tokens
from cmt_bridge.scoring.infill import CANDIDATES, cut, notes_of_section, spliced
from cmt_bridge.training.dataset import Piece
from cmt_bridge.training.examples import Stretch, events_of, stretch_of, time_events

__all__ = ["Infilling", "infilling", "losses_per_word", "middles_of", "windows_of"]

WORDS = 768  # of the paper's, in a window: as many as the paper's network was trained on here
BEFORE, MIDDLE, AFTER = 8, 4, 4  # bars


def windows_of(pieces: Sequence[Piece], *, words: int = WORDS) -> list[Stretch]:
    """Return stretches of whole bars that take at most `words` of the paper's words, from start and middle of
    pieces.
    """
    windows = []
    for piece in pieces:
        for start in sorted({0, piece.bars // 2}):
            window = stretch_of(piece, start, words)
            while window.bars > 1 and len(encode(window.notes, window.bars)) >= words:
                window = _first(window, window.bars - 1)
            windows.append(window)
    return windows


def _first(stretch: Stretch, bars: int) -> Stretch:
    notes = stretch.notes[stretch.notes[:, Grid.ONSET] < bars * TICKS_PER_BAR]
    return replace(stretch, notes=notes, bars=bars)


@torch.inference_mode()
def losses_per_word(network: PaperNetwork | EventTransformer, windows: Sequence[Stretch]) -> dict[str, float]:
    """Return the mean loss in nats of each attribute per word of the paper's, whichever network says them.

    Both networks say the same notes and are told the same, who plays and how far the piece has gone. A composer's
    events are fewer than the paper's words, so its losses are summed and divided by the number of those. It tells
    longer durations apart, at its own cost, and says velocities, which the sum `notes` leaves out.
    """
    totals: dict[str, float] = {}
    count = 0
    for window in windows:
        rows = _timed(encode(window.notes, window.bars), window)
        count += len(rows)
        said = (
            _event_losses(network, window)
            if isinstance(network, EventTransformer)
            else _paper_losses(network, rows, window)
        )
        for name, value in said.items():
            totals[name] = totals.get(name, 0.0) + value
    means = {name: value / count for name, value in totals.items()}
    return {"notes": sum(value for name, value in means.items() if name != "velocity"), **means}


def _timed(rows: TokenRows, window: Stretch) -> TokenRows:
    if window.ends:
        rows = np.concatenate([rows, np.zeros((1, COLUMNS), np.int64)])
        rows[-1, Column.POSITION] = rows[-2, Column.POSITION]
    first = window.first * TICKS_PER_BAR
    rows[:, Column.TIMING] = beat_timing(first + rows[:, Column.POSITION], window.of * TICKS_PER_BAR)
    return rows


def _paper_losses(network: PaperNetwork, rows: TokenRows, window: Stretch) -> dict[str, float]:
    tokens = initial_tokens()
    tokens[0, ~np.isin(tokens[0, :, 2], window.notes[:, Grid.INSTRUMENT]), 2] = 0
    words = torch.from_numpy(rows)[None]
    hidden = network(words, tokens)[:, tokens.shape[1] - 1 : -1]
    losses = network.losses(hidden, words, torch.ones(words.shape[:2]))
    return {column.name.lower(): float(losses[column]) * len(rows) for column in (Column.TYPE, *SAMPLED)}


def _event_losses(network: EventTransformer, window: Stretch) -> dict[str, float]:
    rows = events_of(window)
    if len(window.notes):
        rows[:, Field.PLAYERS] = players_mask(window.notes[:, Grid.INSTRUMENT])
    time_events(rows, window)
    return {NAMES[field]: float(loss.sum()) for field, loss in field_nll(network, rows).items()}


NAMES = {field: "beat" if field is Field.PLACE else field.name.lower() for field in SAID}


# Between two sides


def middles_of(pieces: Sequence[Piece], *, most: int) -> list[Stretch]:
    """Return at most `most` stretches of `BEFORE + MIDDLE + AFTER` bars, one from the middle of each piece."""
    bars = BEFORE + MIDDLE + AFTER
    found = []
    for piece in pieces:
        stretch = stretch_of(piece, max(0, (piece.bars - bars) // 2), WORDS - 4)
        if stretch.bars >= bars:
            stretch = _first(stretch, bars)
            per_bar = np.bincount(stretch.notes[:, Grid.ONSET] // TICKS_PER_BAR, minlength=bars)
            if (per_bar > 0).all():
                found.append(stretch)
    return found[:most]


@dataclass(frozen=True)
class Infilling:
    """Losses in nats per event.

    Of the true middle, heard from both sides and from the left alone; of the bars after a middle, where it is the true
    one, one that was composed hearing both sides, one composed hearing the left alone, and the best of `CANDIDATES`
    that heard both sides: the one after which the next bars are least of a surprise.
    """

    middle_both: float
    middle_left: float
    after_true: float
    after_both: float
    after_left: float
    after_best: float

    @property
    def seam(self) -> float:
        """What the right seam costs: the loss after the best of some composed middles over that in real music."""
        return self.after_best / self.after_true

    @property
    def seam_of_one(self) -> float:
        """The same after a single composed middle."""
        return self.after_both / self.after_true


@torch.inference_mode()
def infilling(engine: EventEngine, stretches: Sequence[Stretch], *, seed: int = 0) -> Infilling:
    """Measure how much a network gains by hearing what follows, and how well its middles lead there."""
    sums, counts = np.zeros(6), np.zeros(6)
    for number, stretch in enumerate(stretches):
        first = seed + number * CANDIDATES
        both = compose_middles(engine, stretch, range(first, first + CANDIDATES), hears_after=True)
        (left,) = compose_middles(engine, stretch, [first], hears_after=False)
        plain = _plain(stretch)
        bar = plain[1:, Field.POSITION] // TICKS_PER_BAR
        inward = events_of(stretch, middle=(BEFORE, BEFORE + MIDDLE), after=AFTER)
        middle = (inward[1:, Field.PART] == Part.MIDDLE) & (inward[1:, Field.PLACE] != START)
        after = [_after(engine.network, stretch, notes) for notes in (stretch.notes, *both, left)]
        cases = (
            _loss_where(engine.network, stretch, inward, middle),
            _loss_where(engine.network, stretch, plain, (bar >= BEFORE) & (bar < BEFORE + MIDDLE)),
            after[0],
            after[1],
            after[-1],
            min(after[1:-1]),
        )
        sums += [total for total, _ in cases]
        counts += [count for _, count in cases]
    return Infilling(*(sums / np.maximum(1, counts)).tolist())


def _plain(stretch: Stretch) -> EventRows:
    return events_of(replace(stretch, of=stretch.of + 1))  # it does not end with the stretch


def _after(network: EventTransformer, stretch: Stretch, notes: GridNotes) -> tuple[float, int]:
    """Return the loss of the bars after the middle, and how many events they are, where a stretch has these notes."""
    rows = _plain(replace(stretch, notes=notes))
    where = rows[1:, Field.POSITION] >= (BEFORE + MIDDLE) * TICKS_PER_BAR
    return _loss_where(network, stretch, rows, where)


def _loss_where(
    network: EventTransformer, stretch: Stretch, rows: EventRows, where: npt.NDArray[np.bool_]
) -> tuple[float, int]:
    """Return the summed loss of the events, after the first, where `where` is true, and how many they are."""
    rows[:, Field.PLAYERS] = players_mask(stretch.notes[:, Grid.INSTRUMENT])
    time_events(rows, replace(stretch, first=0, of=stretch.bars))
    return float(nll(network, rows)[where].sum()), int(where.sum())


def compose_middles(
    engine: EventEngine, stretch: Stretch, seeds: Sequence[int], *, hears_after: bool
) -> list[GridNotes]:
    """Return the notes of a stretch with its middle composed anew, without control, for each of some seeds."""
    bars = stretch.bars + 1  # the ending is not of the stretch
    control = ControlTrack(TempoMap.constant(120.0), (0,) * bars, (), bars * TICKS_PER_BAR)
    span = BEFORE, BEFORE + MIDDLE
    section = cut(stretch.notes, stretch.bars, span, tuple(Instrument), memory=engine.config.window)
    if not hears_after:
        section = replace(section, after=section.after[:0])
    options = ComposeOptions(
        density_control=(0.0,),
        beat_control=(0.0,),
        instruments=tuple(Instrument(i) for i in np.unique(stretch.notes[:, Grid.INSTRUMENT])),
    )
    words = compose(Decoding(engine, control, options, section=section, seeds=list(seeds)))
    return [spliced(stretch.notes, notes_of_section(rows, section), span, tuple(Instrument)) for rows in words]
