"""Regeneration: bars of a score composed anew, every other note left as it is.

Bars are heard from both sides, and of several candidates the one is taken after which the bars that follow are least of
a surprise. What is composed ends with its bars; what sounds into them from before is left to sound.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from cmt_bridge.composition.codec import (
    Grid,
    GridNotes,
    decode,
    encode,
    grid_of,
    in_word_order,
    simu_note_starts,
    tracks_of,
)
from cmt_bridge.composition.conditioning import add_conditioning
from cmt_bridge.composition.events import encode_events
from cmt_bridge.composition.realize import dynamics, limit_polyphony, sustain_last_chord, velocities
from cmt_bridge.core.anew import PITCHES, RHYTHM, Bars, Request
from cmt_bridge.core.control import ControlTrack
from cmt_bridge.core.events import MOST_NOTES, START, EventRows, Field
from cmt_bridge.core.form import LONGEST_RETURN
from cmt_bridge.core.instruments import Instrument
from cmt_bridge.core.options import ComposeOptions
from cmt_bridge.core.score import Note, Score, Track
from cmt_bridge.core.tempo import TICKS_PER_BAR
from cmt_bridge.core.tokens import Column, TokenRows, Type, beat_timing
from cmt_bridge.model.decoding import Decoding, compose
from cmt_bridge.model.event_decoder import EventEngine
from cmt_bridge.model.infill import HeldNote, Infill, Palette, Rhythm
from cmt_bridge.model.likelihood import shared_nll
from cmt_bridge.model.paper_engine import PaperEngine
from cmt_bridge.settings import setting

__all__ = [
    "CANDIDATES",
    "Regenerated",
    "Request",
    "control_of",
    "cut",
    "held_into",
    "memory_of",
    "notes_of_section",
    "regenerate",
    "spliced",
]

CANDIDATES: int = setting("regenerate", "candidates").default
MOST_AFTER = 8  # bars, as in training
AFTER_SHARE = 0.25  # of what a network remembers
MEMORY = 768  # events, where a network does not say


@dataclass(frozen=True)
class Regenerated:
    """A score with bars composed anew, the seed they came from, and what the seams are like.

    `surprise` is the mean loss in nats per event of the bars after each right seam; None where none follow, or where
    the network cannot tell. `held` counts the notes that sound into the new bars from before.
    """

    score: Score
    seed: int
    surprise: float | None
    held: int


def control_of(score: Score) -> ControlTrack:
    """Return a control that asks for what a score has: for scores that came without the metadata of a picture."""
    onsets = np.unique([note.onset for _, note in score.notes()]).astype(np.int64)
    density = np.bincount(onsets // TICKS_PER_BAR, minlength=score.bars)[: score.bars]
    return ControlTrack(score.tempo_map, tuple(density.tolist()), (), score.ticks)


def cut(
    notes: GridNotes,
    bars: int,
    span: Bars,
    instruments: Sequence[Instrument],
    *,
    memory: int = MEMORY,
    rich: bool = True,
) -> Infill:
    """Return the section of some bars of a piece, with as much around it as a network remembers.

    `notes` are in word order; those of `instruments` within the bars are left out. `rich` as in `encode`.
    """
    first, last = span
    bar_of = notes[:, Grid.ONSET] // TICKS_PER_BAR
    inside = (bar_of >= first) & (bar_of < last)
    composed = np.isin(notes[:, Grid.INSTRUMENT], [int(i) for i in instruments])
    start, until = _surroundings(notes, bars, span, memory)
    rows = encode(_hearable(notes[~(inside & composed)]), bars, rich=rich)
    rows[:, Column.TIMING] = beat_timing(rows[:, Column.POSITION], bars * TICKS_PER_BAR)
    bar = rows[:, Column.POSITION] // TICKS_PER_BAR
    within = (bar >= first) & (bar < last) & (rows[:, Column.TYPE] == Type.NOTE)
    return Infill(
        first=first,
        last=last,
        before=rows[(bar >= start) & (bar < first)],
        after=rows[(bar >= last) & (bar < until)],
        heard_from=start,
        kept=rows[within],
        kept_instruments=frozenset({int(i) for i in Instrument} - {int(i) for i in instruments}),
        held=held_into(notes[composed & (bar_of < first)], first * TICKS_PER_BAR),
    )


def _hearable(notes: GridNotes) -> GridNotes:
    """Leave out what no network has a word for."""
    return notes[_is_hearable(notes)]


def _is_hearable(notes: GridNotes) -> npt.NDArray[np.bool_]:
    """Return which notes are among as many of one instrument on a tick as networks know."""
    heads = np.flatnonzero(simu_note_starts(notes))
    size = np.diff(np.append(heads, len(notes)))
    few: npt.NDArray[np.bool_] = np.arange(len(notes)) - np.repeat(heads, size) < MOST_NOTES
    return few


def _surroundings(notes: GridNotes, bars: int, span: Bars, memory: int) -> Bars:
    """Return the first bar to hear before a span, and the one after the last to hear behind them; at least one each."""
    events = np.bincount(notes[:, Grid.ONSET] // TICKS_PER_BAR, minlength=bars) + 1
    first, last = span
    until, room = last, memory * AFTER_SHARE
    while until < min(bars, last + MOST_AFTER) and (events[until] <= room or until == last):
        room -= events[until]
        until += 1
    start, room = first, memory - events[first:until].sum()
    while start > max(0, first - LONGEST_RETURN) and (events[start - 1] <= room or start == first):
        start -= 1
        room -= events[start]
    return start, until


def held_into(notes: GridNotes, seam: int) -> tuple[HeldNote, ...]:
    """Return the notes that still sound at a tick."""
    ends = notes[:, Grid.ONSET] + notes[:, Grid.DURATION]
    return tuple(
        (int(note[Grid.INSTRUMENT]), int(note[Grid.PITCH]), int(end))
        for note, end in zip(notes, ends, strict=True)
        if end > seam
    )


def regenerate(
    score: Score,
    control: ControlTrack,
    request: Request,
    options: ComposeOptions,
    engine: PaperEngine | EventEngine,
    *,
    candidates: int = CANDIDATES,
    note: dict[str, Any] | None = None,
    progress: Callable[[float], None] | None = None,
) -> list[Regenerated]:
    """Compose bars of a score anew, `candidates` times with seeds counting up from the options'; the best one first.

    Every note outside of the request is the same object as before. `note` goes into the provenance. Raises `UsageError`
    where the score has no such bars.
    """
    request.check(score)
    seeds = [options.seed + number for number in range(candidates)]
    playing = {track.instrument for track in score.tracks if track.notes} | set(request.instruments)
    sung = replace(options, instruments=tuple(sorted(playing)))
    pieces = [grid_of(score.tracks)] * candidates
    held = 0
    knows = memory_of(engine)
    for number, span in enumerate(request.bars):
        # After the first span the bars before are not the same for all candidates any more.
        groups = [[seed] for seed in seeds] if number else [seeds]
        share = _share(progress, number, len(request.bars))
        words: list[TokenRows] = []
        for piece, group in zip(pieces, groups, strict=False):
            section = cut(piece, score.bars, span, request.instruments, **knows)
            section = _keeping(section, piece, score.bars, request, sung, rich=knows["rich"])
            section = replace(section, seed=score.provenance.seed)
            words += compose(Decoding(engine, control, sung, section=section, seeds=group), share)
        held += len(section.held)
        pieces = [
            spliced(piece, _engraved(rows, section, piece, request, control, options), span, request.instruments)
            for piece, rows in zip(pieces, words, strict=True)
        ]
    surprises = _surprises(engine, pieces, score.bars, request, control, sung)
    found = [
        Regenerated(_score_of(score, piece, request, note, seed), seed, surprise, held)
        for seed, piece, surprise in zip(seeds, pieces, surprises, strict=True)
    ]
    return sorted(found, key=lambda each: np.inf if each.surprise is None else each.surprise)


def memory_of(engine: PaperEngine | EventEngine) -> dict[str, Any]:
    """Return what `cut` must know of a network."""
    if isinstance(engine, EventEngine):
        return {"memory": engine.config.window, "rich": True}
    return {"memory": engine.network.config.memory or MEMORY, "rich": False}


def _share(progress: Callable[[float], None] | None, number: int, count: int) -> Callable[[float], None] | None:
    return None if progress is None else lambda share: progress((number + share) / count)


def _keeping(
    section: Infill, notes: GridNotes, bars: int, request: Request, options: ComposeOptions, *, rich: bool
) -> Infill:
    """Return a section in which is kept what a request keeps of the bars of a piece."""
    if request.keep == RHYTHM:
        mine = _composed(notes, (section.first, section.last), request)
        rows = encode(_hearable(mine), bars, rich=rich)
        rows[:, Column.TIMING] = beat_timing(rows[:, Column.POSITION], bars * TICKS_PER_BAR)
        ends: dict[tuple[int, int], int] = {}
        for onset, player, _, duration, _ in mine.tolist():
            ends[onset, player] = max(ends.get((onset, player), 0), onset + duration)
        after = _composed(notes, (section.last, bars), request)
        after = after[after[:, Grid.ONSET] < max(ends.values(), default=0)]
        coming = tuple((player, pitch, onset) for onset, player, pitch, _, _ in after.tolist())
        return replace(section, rhythm=Rhythm(rows[rows[:, Column.TYPE] == Type.NOTE], ends, coming))
    if request.keep == PITCHES:
        return replace(section, palette=_palette(notes, section, request, options))
    return section


def _composed(notes: GridNotes, span: Bars, request: Request) -> GridNotes:
    """Return the notes of some bars that are of the tracks composed."""
    bar = notes[:, Grid.ONSET] // TICKS_PER_BAR
    mine = np.isin(notes[:, Grid.INSTRUMENT], [int(i) for i in request.instruments])
    return notes[mine & (bar >= span[0]) & (bar < span[1])]


def _palette(notes: GridNotes, section: Infill, request: Request, options: ComposeOptions) -> Palette:
    """Return the pitches that each track has in each bar, or in the nearest that has any; all of a section's for drums.

    Those out of an instrument's range are left out, where others are in it.
    """
    mine = _composed(notes, (section.first, section.last), request)
    palette: dict[tuple[int, int], frozenset[int]] = {}
    for instrument in request.instruments:
        low, high = options.pitches[instrument]
        own = mine[mine[:, Grid.INSTRUMENT] == instrument]
        there = own[:, Grid.ONSET] // TICKS_PER_BAR
        for bar in range(section.first, section.last) if len(own) else ():
            far = np.abs(there - bar)
            near = own if instrument is Instrument.DRUMS else own[there == there[far.argmin()]]
            pitches = set(near[:, Grid.PITCH].tolist())
            inside = {pitch for pitch in pitches if low <= pitch <= high}
            palette[bar, int(instrument)] = frozenset(inside or pitches)
    return palette


def _engraved(
    rows: TokenRows,
    section: Infill,
    piece: GridNotes,
    request: Request,
    control: ControlTrack,
    options: ComposeOptions,
) -> GridNotes:
    """Return the notes of the words composed for a section, in the piece; they end with it, the last chord with the
    picture, unless their rhythm is kept.
    """
    notes = notes_of_section(rows, section)
    notes = notes[np.isin(notes[:, Grid.INSTRUMENT], [int(i) for i in request.instruments])]
    if section.rhythm is not None:
        kept = _composed(piece, (section.first, section.last), request)
        kept[_is_hearable(kept), Grid.PITCH] = notes[:, Grid.PITCH]
        return kept
    control = control.with_ending()
    known = bool((rows[:, Column.VELOCITY] > 0).any())
    notes[:, Grid.VELOCITY] = velocities(notes, control, known=known)
    if section.last > control.ending:
        notes = sustain_last_chord(notes, control)
    else:
        room = section.last * TICKS_PER_BAR - notes[:, Grid.ONSET]
        notes[:, Grid.DURATION] = np.minimum(notes[:, Grid.DURATION], room)
    return limit_polyphony(notes, options)


def notes_of_section(words: TokenRows, section: Infill) -> GridNotes:
    """Return the notes of the words composed for a section, with onsets in the piece."""
    notes = decode(words)
    notes[:, Grid.ONSET] += section.first * TICKS_PER_BAR
    return notes


def spliced(notes: GridNotes, new: GridNotes, span: Bars, instruments: Sequence[Instrument]) -> GridNotes:
    """Return a piece whose notes of some instruments within some bars are other ones."""
    bar = notes[:, Grid.ONSET] // TICKS_PER_BAR
    replaced = np.isin(notes[:, Grid.INSTRUMENT], [int(i) for i in instruments])
    kept = notes[~(replaced & (bar >= span[0]) & (bar < span[1]))]
    return in_word_order(np.concatenate([kept, new]))


def _score_of(score: Score, piece: GridNotes, request: Request, note: dict[str, Any] | None, seed: int) -> Score:
    """Return the score with the new notes of a piece; all others are the very ones it had."""
    composed = {track.instrument: track.notes for track in tracks_of(piece)}
    tracks = []
    for track in score.tracks:
        kept: tuple[Note, ...] = tuple(n for n in track.notes if not request.has(track.instrument, n.onset))
        new = tuple(n for n in composed[track.instrument] if request.has(track.instrument, n.onset))
        tracks.append(Track(track.instrument, track.program, (*kept, *new)))
    done = {
        "bars": [[first + 1, last] for first, last in request.bars],
        "tracks": [instrument.title for instrument in request.instruments],
        "seed": seed,
        **({"keep": request.keep} if request.keep else {}),
        **(note or {}),
    }
    options = dict(score.provenance.options)
    options["regenerated"] = [*options.get("regenerated", []), done]
    return replace(score, tracks=tuple(tracks), provenance=replace(score.provenance, options=options))


def _surprises(
    engine: PaperEngine | EventEngine,
    pieces: Sequence[GridNotes],
    bars: int,
    request: Request,
    control: ControlTrack,
    options: ComposeOptions,
) -> list[float | None]:
    """Return how much of a surprise the bars after the seams are in each piece, in nats per event.

    All are heard from the same bar on, so that what differs is what was composed.
    """
    count = 0
    totals = np.zeros(len(pieces))
    if isinstance(engine, EventEngine):
        for span in request.bars:
            around = [_surroundings(piece, bars, span, engine.config.window) for piece in pieces]
            start, until = max(start for start, _ in around), min(until for _, until in around)
            if until == span[1]:
                continue
            versions = [_heard(piece, (start, until), engine, control, options) for piece in pieces]
            last = int((versions[0][1:, Field.POSITION] >= span[1] * TICKS_PER_BAR).sum())
            totals += shared_nll(engine.network, versions, last)
            count += last
    return [float(total) / count if count else None for total in totals]


def _heard(
    notes: GridNotes, bars: Bars, engine: EventEngine, control: ControlTrack, options: ComposeOptions
) -> EventRows:
    """Return the events of some bars behind a start word: the last ones, where a network does not hear all at once."""
    first, last = bars
    bar = notes[:, Grid.ONSET] // TICKS_PER_BAR
    heard = _hearable(notes[(bar >= first) & (bar < last)])
    said = heard[:, Grid.VELOCITY] - dynamics(heard[:, Grid.ONSET], control.with_ending())
    heard[:, Grid.VELOCITY] = np.clip(np.rint(said), 1, 127)
    heard[:, Grid.ONSET] -= first * TICKS_PER_BAR
    rows = encode_events(heard, last - first)[-engine.config.window :]
    start = np.zeros((1, len(Field)), np.int64)
    start[:, Field.PLACE] = START
    start[:, Field.POSITION] = rows[0, Field.POSITION]
    rows = np.concatenate([start, rows])
    rows[:, Field.POSITION] += first * TICKS_PER_BAR
    cues = engine.conditioning(options)
    rows[:, [Field.STYLE, Field.KEY, Field.PLAYERS]] = cues.style, cues.key, cues.players
    add_conditioning(rows, notes, control, options)
    return rows
