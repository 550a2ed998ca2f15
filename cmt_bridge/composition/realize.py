"""From words to a score: velocities, releases, the last chord held to the end of the picture, markers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cmt_bridge.composition.codec import Grid, GridNotes, decode, tracks_of
from cmt_bridge.composition.plan import strength_class
from cmt_bridge.core.control import ControlTrack
from cmt_bridge.core.form import sections
from cmt_bridge.core.instruments import Instrument
from cmt_bridge.core.markers import hit_name
from cmt_bridge.core.metadata import VideoMetadata
from cmt_bridge.core.options import ComposeOptions
from cmt_bridge.core.score import Marker, Provenance, Score
from cmt_bridge.core.tempo import TICKS_PER_BAR
from cmt_bridge.core.tokens import Column, TokenRows

__all__ = [
    "dynamics",
    "limit_polyphony",
    "markers",
    "realize",
    "realized_notes",
    "score_of",
    "sustain_last_chord",
    "velocities",
    "with_velocities",
]

# A starting mix: what accompanies is softer than what leads.
LOUDNESS = {
    Instrument.DRUMS: 82,
    Instrument.PIANO: 76,
    Instrument.GUITAR: 72,
    Instrument.BASS: 80,
    Instrument.STRINGS: 66,
}
METRE = np.array([10, -5, 0, -5, 4, -5, 0, -5, 7, -5, 0, -5, 4, -5, 0, -5])  # by tick of a 4/4 bar
MOTION = 28  # from the calmest bar to the liveliest
MIDDLE = 0.4  # the share of a bar's ticks at which motion adds nothing
HIT = 2  # per note of a visual beat's strength
STRONG = 4  # strength class from which a visual beat gets a marker: the upper half of the weights


def realize(
    rows: TokenRows,
    control: ControlTrack,
    options: ComposeOptions,
    *,
    metadata: VideoMetadata | None = None,
    title: str = "",
    provenance: Provenance | None = None,
) -> Score:
    """Return the score of words (rows, 9) composed for `control`.

    Notes are released where their instrument would sound more notes than its polyphony, or strikes the same pitch
    again; the last chord rings until the picture ends.
    """
    notes = realized_notes(rows, control, options)
    return score_of(notes, control, metadata=metadata, title=title, provenance=provenance)


def realized_notes(rows: TokenRows, control: ControlTrack, options: ComposeOptions) -> GridNotes:
    """Return the notes of words (rows, 9) composed for `control`, as a score has them."""
    control = control.with_ending()
    notes = sustain_last_chord(with_velocities(rows, control), control)
    return limit_polyphony(notes, options)


def with_velocities(rows: TokenRows, control: ControlTrack, first: int = 0) -> GridNotes:
    """Return the notes of words whose first bar is bar `first` of `control`, with their velocities."""
    notes = decode(rows)
    notes[:, Grid.ONSET] += first * TICKS_PER_BAR
    known = bool((rows[:, Column.VELOCITY] > 0).any())
    notes[:, Grid.VELOCITY] = velocities(notes, control, known=known)
    return notes


def score_of(
    notes: GridNotes,
    control: ControlTrack,
    *,
    metadata: VideoMetadata | None = None,
    title: str = "",
    provenance: Provenance | None = None,
) -> Score:
    """Return the score of notes, in word order, for the picture that `control` was planned from."""
    control = control.with_ending()
    return Score(
        tempo_map=control.tempo_map,
        tracks=tracks_of(notes),
        bars=control.bars,
        duration=metadata.duration if metadata else float(control.tempo_map.seconds(control.n_beat)),
        frame_rate=metadata.source.rate if metadata else (0, 1),
        timecode=metadata.source.first_label if metadata else "",
        title=title,
        markers=markers(control, metadata),
        provenance=provenance or Provenance(),
    )


def velocities(notes: GridNotes, control: ControlTrack, *, known: bool = False) -> npt.NDArray[np.int64]:
    """Return the velocity of every note: its instrument's loudness, the metre, the motion and the visual beats.

    Where the model said velocities (`known`), those stand for loudness and metre.
    """
    onset = notes[:, Grid.ONSET]
    base = np.zeros(max(Instrument) + 1, np.int64)
    base[list(LOUDNESS)] = list(LOUDNESS.values())
    own = notes[:, Grid.VELOCITY] if known else base[notes[:, Grid.INSTRUMENT]] + METRE[onset % TICKS_PER_BAR]
    return np.clip(np.rint(own + dynamics(onset, control)), 1, 127).astype(np.int64)


def dynamics(onset: npt.NDArray[np.int64], control: ControlTrack) -> npt.NDArray[np.float64]:
    """Return how much louder notes are for the picture, by their onsets: velocities to be added.

    Motion counts through the density it asks for, from bar middle to bar middle, so that a scene that gathers speed is
    a crescendo.
    """
    middles = (np.arange(control.bars) + 0.5) * TICKS_PER_BAR
    motion = np.interp(onset, middles, np.array(control.density) / TICKS_PER_BAR)
    if control.bars > 1:  # the last chord is not quiet because it is one onset
        motion[onset >= control.ending * TICKS_PER_BAR] = np.mean(control.density[:-1]) / TICKS_PER_BAR
    hits = np.zeros(control.bars * TICKS_PER_BAR, np.int64)
    for beat in control.beats:
        hits[beat.tick] = HIT * beat.strength
    louder: npt.NDArray[np.float64] = hits[onset] + MOTION * (motion - MIDDLE)
    return louder


def sustain_last_chord(notes: GridNotes, control: ControlTrack) -> GridNotes:
    """Let what sounds before the last chord stop for it, and the chord ring to the end of the picture."""
    notes = notes.copy()
    last = control.ending * TICKS_PER_BAR
    before = notes[:, Grid.ONSET] < last
    onset, duration = notes[:, Grid.ONSET], notes[:, Grid.DURATION]
    notes[before, Grid.DURATION] = np.minimum(duration, last - onset)[before]
    notes[~before, Grid.DURATION] = np.maximum(1, control.n_beat - onset)[~before]
    return notes


def limit_polyphony(notes: GridNotes, options: ComposeOptions) -> GridNotes:
    """End a note where its instrument has no voice left for it, the oldest first, or strikes its pitch again."""
    notes = notes.copy()
    for instrument in Instrument:
        voices = options.polyphony[instrument]
        sounding: list[int] = []  # indices, oldest first
        mine = np.flatnonzero(notes[:, Grid.INSTRUMENT] == instrument)
        for onset in np.unique(notes[mine, Grid.ONSET]):
            new = mine[notes[mine, Grid.ONSET] == onset]
            struck = set(notes[new, Grid.PITCH].tolist())
            held = [i for i in sounding if notes[i, Grid.ONSET] + notes[i, Grid.DURATION] > onset]
            spare = max(0, voices - len(new))
            kept = [i for i in held if int(notes[i, Grid.PITCH]) not in struck]
            kept = kept[len(kept) - spare :] if spare else []
            for index in set(held) - set(kept):
                notes[index, Grid.DURATION] = onset - notes[index, Grid.ONSET]
            sounding = [*kept, *new.tolist()]
    return notes


def markers(control: ControlTrack, metadata: VideoMetadata | None) -> tuple[Marker, ...]:
    """Return markers at sections, cuts and strong visual beats, numbered and in the order of time."""
    found = [
        Marker(float(control.tempo_map.bar_seconds(bar)), "section", f"Section {name}")
        for bar, name in sections(control.density)
    ]
    if metadata is not None:
        found += [Marker(cut.seconds, "cut", f"Cut {n}") for n, cut in enumerate(metadata.cuts, 1)]
        hits = [(beat.seconds, strength_class(beat.weight)) for beat in metadata.beats]
    else:
        hits = [(float(control.tempo_map.seconds(beat.tick)), beat.strength) for beat in control.beats]
    strong = sorted(hit for hit in hits if hit[1] >= STRONG)
    found += [Marker(seconds, "beat", hit_name(n, strength)) for n, (seconds, strength) in enumerate(strong, 1)]
    return tuple(sorted(found))
