"""Bars composed anew: what changes, and that nothing else does."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import symusic

from cmt_bridge.composition.realize import realize
from cmt_bridge.core.control import ControlBeat, ControlTrack
from cmt_bridge.core.instruments import Instrument
from cmt_bridge.core.options import ComposeOptions
from cmt_bridge.core.score import Note, Score, Track
from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.errors import UsageError
from cmt_bridge.model.decoding import Decoding, compose
from cmt_bridge.model.event_decoder import EventEngine
from cmt_bridge.model.paper_engine import PaperEngine
from cmt_bridge.outputs.midi import midi_bytes
from cmt_bridge.scoring.infill import Regenerated, Request, control_of, regenerate

EVERYONE = tuple(Instrument)
CONTROL = ControlTrack(
    TempoMap.constant(120), (6, 9, 4, 7, 11, 5, 8, 6), (ControlBeat(50, 3), ControlBeat(70, 2)), 8 * 16
)
OPTIONS = ComposeOptions(seed=3, density_control=(1.0,), beat_control=(1.0,))

Place = tuple[Instrument, Note]


@pytest.fixture(scope="module")
def score(engine: PaperEngine | EventEngine) -> Score:
    return composed(engine)


def composed(engine: PaperEngine | EventEngine, options: ComposeOptions = OPTIONS) -> Score:
    (rows,) = compose(Decoding(engine, CONTROL, options))
    return realize(rows, CONTROL, options)


def notes_of(data: bytes) -> list[list[tuple[int, int, int, int]]]:
    """Give the notes of the five parts of a MIDI file as an independent reader sees them."""
    song = symusic.Score.from_midi(data)
    by_name = {track.name: track for track in song.tracks}
    parts = [by_name.get(instrument.title) for instrument in Instrument]
    return [
        sorted((n.time, n.pitch, n.duration, n.velocity) for n in part.notes) if part is not None else []
        for part in parts
    ]


def apart(score: Score, request: Request) -> tuple[list[Place], list[Place]]:
    """Give the notes outside and inside of what is composed anew."""
    notes = list(score.notes())
    inside = [request.has(instrument, note.onset) for instrument, note in notes]
    return (
        [place for place, new in zip(notes, inside, strict=True) if not new],
        [place for place, new in zip(notes, inside, strict=True) if new],
    )


def run(engine: PaperEngine | EventEngine, score: Score, request: Request, **given: object) -> list[Regenerated]:
    options = replace(OPTIONS, seed=100)
    return regenerate(score, CONTROL, request, options, engine, candidates=2, **given)  # type: ignore[arg-type]


REQUESTS = [
    Request(((2, 5),)),
    Request(((0, 1),)),
    Request(((6, 8),)),
    Request(((0, 8),)),
    Request(((1, 3), (4, 5))),
    Request(((2, 5),), (Instrument.DRUMS, Instrument.BASS)),
    Request(((2, 4), (6, 7)), (Instrument.STRINGS,)),
    Request(((5, 8),), (Instrument.PIANO, Instrument.GUITAR, Instrument.STRINGS)),
]


@pytest.mark.parametrize("request_", REQUESTS, ids=str)
def test_every_other_note_is_as_it_was(engine: PaperEngine | EventEngine, score: Score, request_: Request) -> None:
    outside, inside = apart(score, request_)
    for found in run(engine, score, request_):
        kept, new = apart(found.score, request_)
        assert kept == outside
        assert new
        assert new != inside
        assert (found.score.tempo_map, found.score.markers, found.score.bars) == (
            score.tempo_map,
            score.markers,
            score.bars,
        )
        for _, note in new:
            bars = next(bars for bars in request_.bars if bars[0] <= note.onset // 16 < bars[1])
            assert note.end <= bars[1] * 16


@pytest.mark.parametrize("request_", REQUESTS, ids=str)
def test_the_midi_file_keeps_every_other_note_too(
    engine: PaperEngine | EventEngine, score: Score, request_: Request
) -> None:
    """No kept note is cut short where a new one strikes its pitch."""
    before = notes_of(midi_bytes(score))
    for found in run(engine, score, request_):
        after = notes_of(midi_bytes(found.score))
        for track, instrument in enumerate(Instrument):
            old, new = (
                [note for note in notes[track] if not request_.has(instrument, note[0] // 120)]
                for notes in (before, after)
            )
            assert new == old


def test_new_bars_follow_the_picture(engine: PaperEngine | EventEngine, score: Score) -> None:
    found = run(engine, score, Request(((2, 5),)))[0]
    onsets = {note.onset for _, note in found.score.notes()}
    for bar in (2, 3, 4):
        assert len([onset for onset in onsets if onset // 16 == bar]) == CONTROL.density[bar]
    assert {50, 70} <= onsets


def test_kept_tracks_count_for_the_density(engine: PaperEngine | EventEngine, score: Score) -> None:
    request = Request(((2, 5),), (Instrument.DRUMS, Instrument.BASS))
    found = run(engine, score, request)[0]
    for bar in (2, 3, 4):
        kept = {n.onset for i, n in score.notes() if n.onset // 16 == bar and i not in request.instruments}
        now = {n.onset for _, n in found.score.notes() if n.onset // 16 == bar}
        assert kept <= now
        assert len(now) == max(CONTROL.density[bar], len(kept))


def test_the_same_seed_gives_the_same_bars(engine: PaperEngine | EventEngine, score: Score) -> None:
    request = Request(((2, 4), (5, 6)))
    first, again = run(engine, score, request), run(engine, score, request)
    assert [each.score for each in first] == [each.score for each in again]
    assert {each.seed for each in first} == {100, 101}
    assert first[0].score.tracks != first[1].score.tracks


def test_candidates_do_not_depend_on_each_other(engine: PaperEngine | EventEngine, score: Score) -> None:
    """Not even where each bar draws whether it follows the picture."""
    request = Request(((2, 4), (5, 6)))
    options = replace(OPTIONS, density_control=(0.5,), beat_control=(0.5,), seed=100)
    found = regenerate(score, CONTROL, request, options, engine, candidates=3)
    together = {each.seed: each.score.tracks for each in found}
    for seed in (101, 102):
        (alone,) = regenerate(score, CONTROL, request, replace(options, seed=seed), engine, candidates=1)
        assert alone.score.tracks == together[seed]


def test_the_best_candidate_comes_first(engine: PaperEngine | EventEngine, score: Score) -> None:
    options = replace(OPTIONS, seed=7)
    found = regenerate(score, CONTROL, Request(((2, 4),)), options, engine, candidates=5)
    surprises = [each.surprise for each in found]
    if isinstance(engine, EventEngine):
        assert all(a is not None and b is not None and a <= b for a, b in pairwise(surprises))
        assert surprises[0] != surprises[-1]
    else:
        assert surprises == [None] * 5
    last = regenerate(score, CONTROL, Request(((6, 8),)), options, engine, candidates=2)
    assert [each.surprise for each in last] == [None, None]  # nothing follows


def test_notes_sounding_into_the_bars_are_left(engine: PaperEngine | EventEngine, score: Score) -> None:
    """Every pitch but a few is held by the strings, from before."""
    free = {60, 64, 67}
    low, high = OPTIONS.pitches[Instrument.STRINGS]
    held = tuple(Note(16, pitch, 64, 70) for pitch in range(low, high + 1) if pitch not in free)
    tracks = tuple(
        replace(track, notes=held) if track.instrument is Instrument.STRINGS else track for track in score.tracks
    )
    full = replace(score, tracks=tracks)
    request = Request(((2, 6),), (Instrument.STRINGS,))
    for found in run(engine, full, request):
        assert found.held == len(held)
        new = [note for instrument, note in apart(found.score, request)[1] if instrument is Instrument.STRINGS]
        assert {note.pitch for note in new if note.onset < 80} <= free
        strings = next(t for t in found.score.tracks if t.instrument is Instrument.STRINGS)
        assert set(held) <= set(strings.notes)


def rhythm_of(score: Score, instrument: Instrument) -> list[tuple[int, int, int]]:
    return sorted((n.onset, n.duration, n.velocity) for i, n in score.notes() if i is instrument)


@pytest.mark.parametrize("request_", REQUESTS, ids=str)
def test_a_kept_rhythm_is_the_very_same(engine: PaperEngine | EventEngine, score: Score, request_: Request) -> None:
    request = replace(request_, keep="rhythm")
    assert Instrument.DRUMS not in request.instruments
    outside, inside = apart(score, request)
    before = notes_of(midi_bytes(score))
    for found in run(engine, score, request):
        kept, new = apart(found.score, request)
        assert kept == outside
        assert new != inside
        assert [rhythm_of(found.score, i) for i in Instrument] == [rhythm_of(score, i) for i in Instrument]
        for instrument, now, then in zip(Instrument, notes_of(midi_bytes(found.score)), before, strict=True):
            assert sorted(n[:1] + n[2:] for n in now) == sorted(n[:1] + n[2:] for n in then), instrument
        assert found.score.provenance.options["regenerated"][-1]["keep"] == "rhythm"


def test_a_kept_rhythm_strikes_no_pitch_that_sounds(engine: PaperEngine | EventEngine, score: Score) -> None:
    """Long notes of one instrument, in and across the bars, among few pitches."""
    notes = tuple(Note(tick, 60 + tick // 4 % 7, 24, 70) for tick in range(0, 112, 4))
    tracks = tuple(
        replace(track, notes=notes) if track.instrument is Instrument.STRINGS else track for track in score.tracks
    )
    options = replace(OPTIONS, pitches={**OPTIONS.pitches, Instrument.STRINGS: (60, 72)})
    request = Request(((2, 4),), (Instrument.STRINGS,), keep="rhythm")
    found = regenerate(replace(score, tracks=tracks), CONTROL, request, options, engine, candidates=3)
    for each in found:
        strings = next(track.notes for track in each.score.tracks if track.instrument is Instrument.STRINGS)
        assert [(n.onset, n.duration) for n in strings] == [(n.onset, n.duration) for n in notes]
        for pitch in {note.pitch for note in strings}:
            assert all(a.end <= b.onset for a, b in pairwise(n for n in strings if n.pitch == pitch))


@pytest.mark.parametrize("request_", REQUESTS[:6], ids=str)
def test_kept_pitches_are_played_in_their_bars(
    engine: PaperEngine | EventEngine, score: Score, request_: Request
) -> None:
    request = replace(request_, keep="pitches")
    outside, inside = apart(score, request)
    for found in run(engine, score, request):
        kept, new = apart(found.score, request)
        assert kept == outside
        assert new != inside
        for instrument, note in new:
            first, last = next(bars for bars in request.bars if bars[0] <= note.onset // 16 < bars[1])
            had: dict[int, set[int]] = {}
            for player, old in inside:
                if player is instrument and first <= old.onset // 16 < last:
                    had.setdefault(0 if instrument is Instrument.DRUMS else old.onset // 16, set()).add(old.pitch)
            if had:
                bar = note.onset // 16
                assert any(note.pitch in had[near] for near in had if abs(near - bar) == nearest(had, bar))


def nearest(had: dict[int, set[int]], bar: int) -> int:
    return min(abs(near - bar) for near in had)


def test_a_track_that_was_silent_may_play_any_pitch(engine: PaperEngine | EventEngine, score: Score) -> None:
    tracks = tuple(
        replace(track, notes=()) if track.instrument is not Instrument.DRUMS else track for track in score.tracks
    )
    request = Request(((1, 7),), (Instrument.PIANO,), keep="pitches")
    found = run(engine, replace(score, tracks=tracks), request)
    assert any(apart(each.score, request)[1] for each in found)


def test_what_cannot_be_kept_is_refused() -> None:
    with pytest.raises(UsageError, match="melody cannot be kept"):
        Request(((0, 1),), keep="melody")
    with pytest.raises(UsageError, match="no pitches apart from their rhythm"):
        Request(((0, 1),), (Instrument.DRUMS,), keep="rhythm")
    assert Request(((0, 1),), (Instrument.DRUMS,), keep="pitches").instruments == (Instrument.DRUMS,)


def test_provenance_tells_what_was_done(engine: PaperEngine | EventEngine, score: Score) -> None:
    request = Request(((2, 4),), (Instrument.BASS,))
    once = run(engine, score, request, note={"model": "one"})[0]
    twice = run(engine, once.score, replace(request, bars=((0, 2),)))[0]
    done = twice.score.provenance.options["regenerated"]
    assert [entry["bars"] for entry in done] == [[[3, 4]], [[1, 2]]]
    assert done[0]["tracks"] == ["Bass"]
    assert done[0]["model"] == "one"
    assert done[0]["seed"] == once.seed
    assert "regenerated" not in score.provenance.options


def test_a_long_piece_is_fed_as_far_as_memory_reaches(engine: PaperEngine | EventEngine) -> None:
    """Sections late in a piece of many notes are composed too, and remember no more than the network can."""
    rng = np.random.default_rng(0)
    bars = 60
    tracks = tuple(
        Track(instrument, 0, tuple(Note(int(tick), 40 + int(rng.integers(20)), 2) for tick in range(0, bars * 16, 2)))
        for instrument in Instrument
    )
    score = Score(TempoMap.constant(100), tracks, bars)
    control = control_of(score)
    assert control.density == (8,) * bars
    for span in ((50, 54), (0, 3), (57, 60)):
        (found,) = regenerate(score, control, Request((span,)), OPTIONS, engine, candidates=1)
        kept = [place for place in score.notes() if not span[0] <= place[1].onset // 16 < span[1]]
        assert [p for p in found.score.notes() if not span[0] <= p[1].onset // 16 < span[1]] == kept


def test_bars_that_are_not_there_are_refused(engine: PaperEngine | EventEngine, score: Score) -> None:
    for bars in (((7, 9),), ((-1, 2),), ((3, 3),)):
        with pytest.raises(UsageError, match="no bars"):
            run(engine, score, Request(bars))
    with pytest.raises(UsageError, match="named twice"):
        run(engine, score, Request(((2, 5), (4, 6))))
    with pytest.raises(UsageError, match="locked"):
        run(engine, score, Request(((2, 5),), ()))


def test_everyone_is_composed_where_nobody_is_named() -> None:
    assert Request(((0, 1),)).instruments == EVERYONE
