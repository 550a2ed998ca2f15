from dataclasses import replace

import numpy as np
import pytest
import torch

from cmt_bridge.composition.codec import Grid, decode, encode
from cmt_bridge.composition.events import encode_events
from cmt_bridge.core.control import ControlTrack
from cmt_bridge.core.events import BAR_LINE, SAID, START, EventRows, Field
from cmt_bridge.core.options import ComposeOptions
from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.core.tokens import BAR, Column, TokenRows, beat_timing
from cmt_bridge.errors import UsageError
from cmt_bridge.model.decoding import Decoding, compose, engine_for
from cmt_bridge.model.event_decoder import EventEngine
from cmt_bridge.model.event_network import EventConfig, EventTransformer
from cmt_bridge.model.infill import Infill
from cmt_bridge.model.kv_cache import KVCache, joined_caches
from cmt_bridge.model.likelihood import nll, shared_nll
from cmt_bridge.model.paper_engine import PaperEngine

TOLERANCE = 2e-5
FREE = ComposeOptions(density_control=(0.0,), beat_control=(0.0,))


def events(count: int, seed: int = 0) -> EventRows:
    """Give a start word and `count` events of random music."""
    rng = np.random.default_rng(seed)
    onset = np.sort(rng.integers(0, 64 * 16, count))
    notes = np.stack([onset, rng.integers(1, 6, count), *rng.integers(1, 100, (2, count)), onset % 128], 1)
    notes[:, Grid.DURATION] %= 16
    notes[:, Grid.DURATION] += 1
    _, first = np.unique(notes[:, : Grid.DURATION], axis=0, return_index=True)
    rows = encode_events(notes[first], 64)
    start = np.zeros((1, len(Field)), np.int64)
    start[:, Field.PLACE] = START
    return np.concatenate([start, rows])[: count + 1]


def heard(engine: EventEngine, rows: EventRows) -> torch.Tensor:
    cache = engine.cache([0])
    hidden = []
    for row in rows:
        engine.step(row[None].copy(), cache)
        hidden.append(cache.hidden)
    return torch.stack(hidden, 1)


def test_an_event_at_a_time_gives_the_parallel_form(composer: EventTransformer) -> None:
    rows = events(90)
    with torch.no_grad():
        parallel = composer(torch.from_numpy(rows)[None])
    torch.testing.assert_close(heard(EventEngine(composer), rows), parallel, atol=TOLERANCE, rtol=0)


def test_beyond_the_window_start_and_last_events_remain() -> None:
    """With one layer, that is the parallel form of the start word and what is left in the window."""
    torch.manual_seed(0)
    config = EventConfig(layers=1, heads=2, head_size=16, width=32, feed_forward=64, speech_width=16, window=20)
    network = EventTransformer(config).eval()
    rows = events(70)
    hidden = heard(EventEngine(network), rows)
    for last in (18, 19, 20, 45, 69):
        kept = rows[max(1, last - config.window + 2) : last + 1]
        start = rows[:1].copy()
        start[:, Field.POSITION] = kept[0, Field.POSITION] if last > config.window - 1 else rows[0, Field.POSITION]
        with torch.no_grad():
            expected = network(torch.from_numpy(np.concatenate([start, kept]))[None])[:, -1]
        torch.testing.assert_close(hidden[:, last], expected, atol=TOLERANCE, rtol=0)


def test_what_is_heard_takes_the_same_memory_however_long(composer: EventTransformer) -> None:
    engine = EventEngine(composer)
    cache = engine.cache([0])
    sizes = set()
    for row in events(300):
        engine.step(row[None].copy(), cache)
        sizes.add((cache.keys.shape, cache.values.shape, cache.positions.shape))
    assert len(sizes) == 1


def test_where_a_piece_stands_does_not_matter(composer: EventTransformer) -> None:
    """Positions are relative: bars moved by any number sound the same."""
    rows = events(90)
    moved = rows.copy()
    moved[:, Field.POSITION] += 16 * 100_000
    engine = EventEngine(composer)
    torch.testing.assert_close(heard(engine, moved), heard(engine, rows), atol=1e-4, rtol=0)


def test_the_future_is_not_heard(composer: EventTransformer) -> None:
    rows = torch.from_numpy(events(60))[None]
    other = rows.clone()
    other[:, 40:, Field.PITCH] = 7
    with torch.no_grad():
        torch.testing.assert_close(composer(rows)[:, :40], composer(other)[:, :40], atol=0, rtol=0)


@pytest.mark.parametrize("count", [1, 40, 96, 130])
def test_events_heard_together_are_heard_as_one_by_one(composer: EventTransformer, count: int) -> None:
    """Up to a full window of 96 and beyond, from the start and from the middle."""
    engine = EventEngine(composer)
    rows = events(count)
    expected = engine.cache([0])
    for row in rows:
        engine.step(row[None].copy(), expected)
    for cut in {0, 1, count // 2}:
        cache = engine.cache([0])
        for part in (rows[:cut], rows[cut:]):
            engine.feed(part, cache)
        assert int(cache.count) == int(expected.count) == len(rows)
        assert (cache.positions == expected.positions).all()
        for name in ("hidden", "keys", "values", "starts"):
            torch.testing.assert_close(getattr(cache, name), getattr(expected, name), atol=TOLERANCE, rtol=1e-4)


@pytest.mark.parametrize("count", [0, 1, 40, 94, 95, 130])
def test_candidates_that_part_hear_what_they_would_alone(composer: EventTransformer, count: int) -> None:
    """What they heard before is kept once, until the window of 96 has left it behind."""
    engine = EventEngine(composer)
    beginning = events(count)
    cache = engine.cache([0])
    engine.feed(beginning, cache)
    alone, parted = [cache.alone(0) for _ in range(3)], cache.fork([0, 1, 2])
    following = np.stack([events(count + 110, seed)[count + 1 :] for seed in (1, 2, 3)], 1)
    places = [0, 1, 2]
    for step, rows in enumerate(following):
        engine.step(rows[places], parted)
        for place in places:
            engine.step(rows[place : place + 1].copy(), alone[place])
        expected = torch.cat([alone[place].hidden for place in places])
        torch.testing.assert_close(parted.hidden, expected, atol=TOLERANCE, rtol=0)
        if step == 20:  # one has ended
            places = [0, 2]
            parted = parted.select(places)


@pytest.mark.parametrize("more", [0, 30, 110])
def test_a_candidate_taken_out_has_heard_all_that_was_common(composer: EventTransformer, more: int) -> None:
    engine = EventEngine(composer)
    cache = engine.cache([0])
    engine.feed(events(60), cache)
    together = cache.fork([0, 1])
    for rows in np.stack([events(60 + more, seed)[61:] for seed in (1, 2)], 1):
        engine.step(rows.copy(), together)
    taken = joined_caches([together.alone(1), together.alone(0)])
    for rows in np.stack([events(20, seed) for seed in (3, 4)], 1):
        engine.step(rows.copy(), together)
        engine.step(rows[::-1].copy(), taken)
        torch.testing.assert_close(taken.hidden, together.hidden.flip(0), atol=TOLERANCE, rtol=0)


def test_the_shared_beginning_is_fed_once_without_change(composer: EventTransformer) -> None:
    versions = []
    for seed in (0, 1, 2):
        rows = events(80)
        other = events(80, seed)
        rows[30:60, Field.PITCH] = other[30:60, Field.PITCH]
        versions.append(np.delete(rows, slice(40, 40 + seed), 0))
    expected = [nll(composer, rows)[-15:].sum() for rows in versions]
    assert shared_nll(composer, versions, 15) == pytest.approx(expected, rel=1e-5)
    assert shared_nll(composer, versions[:1], 15) == pytest.approx(expected[:1], rel=1e-5)
    apart = [rows + (np.arange(len(Field)) == Field.TIMING) * (number % 2) for number, rows in enumerate(versions)]
    expected = [nll(composer, rows)[-15:].sum() for rows in apart]
    assert shared_nll(composer, apart, 15) == pytest.approx(expected, rel=1e-5)


def test_an_attribute_knows_those_before_it_and_no_others(composer: EventTransformer) -> None:
    hidden = torch.randn(1, composer.config.width)
    rows = torch.from_numpy(events(1))[1:]
    for place, field in enumerate(SAID):
        before = composer.speech.logits(field, hidden, rows)
        for other, earlier in enumerate(SAID):
            changed = rows.clone()
            changed[:, earlier] = (changed[:, earlier] + 1) % composer.config.classes(earlier)
            same = torch.equal(before, composer.speech.logits(field, hidden, changed))
            assert same == (other >= place)


def test_decoding_says_what_training_learned(composer: EventTransformer) -> None:
    """The logits that a session draws from are those of the training loss."""
    engine = EventEngine(composer)
    rows = events(5)
    cache = engine.cache([3])
    for row in rows:
        engine.step(row[None].copy(), cache)
    hidden, thoughts = cache.hidden.clone(), engine.thoughts(cache)
    event = events(6)[-1]
    for field in SAID:
        expected = composer.speech.logits(field, hidden, torch.from_numpy(event)[None])
        got = engine.logits(field, thoughts[:, field], event[None], cache.rows)
        np.testing.assert_allclose(got, expected.detach().numpy(), atol=TOLERANCE)


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_fast_precisions_stay_near(composer: EventTransformer, precision: str) -> None:
    rows = events(60)
    exact = heard(EventEngine(composer), rows)
    fast = heard(EventEngine(composer, precision), rows)  # type: ignore[arg-type]
    assert (fast - exact).norm() / exact.norm() < 0.05


def test_losses_leave_out_what_is_not_said(composer: EventTransformer) -> None:
    rows = torch.from_numpy(events(40))[None]
    with torch.no_grad():
        hidden = composer(rows[:, :-1])
        counts = torch.ones(rows[:, 1:].shape[:2], dtype=torch.bool)
        parts = {field: (where, loss) for field, where, loss in composer.field_losses(hidden, rows[:, 1:], counts)}
        summed = composer.losses(hidden, rows[:, 1:], counts / counts.sum())
    said = rows[0, 1:]
    bars, notes = said[:, Field.DENSITY] > 0, said[:, Field.PITCH] > 0
    assert len(parts[Field.PLACE][0]) == 40
    assert parts[Field.DENSITY][0].tolist() == bars.nonzero().squeeze(1).tolist()
    assert parts[Field.PITCH][0].tolist() == notes.nonzero().squeeze(1).tolist()
    for field, (_, loss) in parts.items():
        assert summed[field] == pytest.approx(float(loss.sum()) / 40, abs=1e-5)


# Cues and sections


def composed(engine: PaperEngine | EventEngine, options: ComposeOptions, control: ControlTrack) -> TokenRows:
    return compose(Decoding(engine, control, options))[0]


def test_style_and_key_are_heard(composer: EventTransformer, control: ControlTrack) -> None:
    engine = engine_for(composer)
    plain = composed(engine, FREE, control)
    for cue in (replace(FREE, style="wild"), replace(FREE, key="Am")):
        other = composed(engine, cue, control)
        assert plain.shape != other.shape or (plain != other).any()
    with pytest.raises(UsageError, match="does not know the style polka"):
        composed(engine, replace(FREE, style="polka"), control)
    with pytest.raises(UsageError, match="no key 'J'"):
        replace(FREE, key="J")


def test_followed_bars_are_told_so_and_what_returns_in_them(
    composer: EventTransformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the network hears: the form where there is control and recall, and which bars the picture decides."""
    control = ControlTrack(TempoMap.constant(120), (5,) * 16, (), 256)
    engine = engine_for(composer)
    heard: list[EventRows] = []
    step = EventEngine.step

    def noting(self: EventEngine, events: EventRows, cache: KVCache) -> None:
        heard.append(events.copy())
        step(self, events, cache)

    monkeypatch.setattr(EventEngine, "step", noting)

    def lines(options: ComposeOptions) -> EventRows:
        heard.clear()
        composed(engine, options, control)
        rows = np.concatenate(heard)
        return rows[rows[:, Field.PLACE] == BAR_LINE]

    by_bar = (1.0,) * 6 + (0.0,)
    followed = lines(replace(FREE, density_control=by_bar))
    assert followed[:, Field.FOLLOWS].tolist() == [1] * 6 + [0] * 10
    assert followed[:, Field.BARS_BACK].tolist() == [0] * 4 + [5] * 4 + [1] * 4 + [9] * 4
    for options in (FREE, replace(FREE, density_control=by_bar, recall=0.0)):
        assert (lines(options)[:, Field.BARS_BACK] == 0).all()


def test_the_papers_network_knows_neither(paper_engine: PaperEngine, control: ControlTrack) -> None:
    for options in (replace(FREE, style="rock"), replace(FREE, key="C")):
        with pytest.raises(UsageError, match="neither styles nor keys"):
            composed(paper_engine, options, control)


def test_velocities_and_long_notes_are_said(composer: EventTransformer, control: ControlTrack) -> None:
    rows = composed(engine_for(composer), FREE, control)
    notes = rows[:, Column.PITCH] > 0
    assert (rows[notes, Column.VELOCITY] > 0).all()
    assert decode(rows)[:, Grid.VELOCITY].std() > 0


def section_of(rows: TokenRows, first: int, last: int) -> Infill:
    bar = rows[:, Column.POSITION] // 16
    return Infill(first, last, rows[bar < first], rows[bar >= last])


def test_a_section_is_composed_between_its_neighbours(engine: PaperEngine | EventEngine) -> None:
    control = ControlTrack(TempoMap.constant(120), (6,) * 8, (), 128)
    options = ComposeOptions(seed=3, density_control=(1.0,))
    whole = composed(engine, options, control)
    section = section_of(whole, 3, 5)
    (words,) = compose(Decoding(engine, control, replace(options, seed=4), section=section))
    lines = words[words[:, Column.BEAT] == BAR]
    assert lines[:, Column.POSITION].tolist() == [48, 64]
    assert words[:, Column.POSITION].min() >= 48
    assert words[:, Column.POSITION].max() < 80
    assert (lines[:, Column.DENSITY] - 1).tolist() == [6, 6]
    again = compose(Decoding(engine, control, replace(options, seed=4), section=section))[0]
    assert (again == words).all()
    several = compose(Decoding(engine, control, options, section=section, seeds=[4, 5]))
    assert (several[0] == words).all()


def test_what_follows_a_section_is_heard(composer: EventTransformer) -> None:
    control = ControlTrack(TempoMap.constant(120), (6,) * 8, (), 128)
    options = ComposeOptions(seed=3, density_control=(1.0,))
    engine = engine_for(composer)
    section = section_of(composed(engine, options, control), 3, 5)
    higher = section.after.copy()
    higher[higher[:, Column.PITCH] > 0, Column.PITCH] = 90
    words, other, alone = (
        compose(Decoding(engine, control, options, section=each))[0]
        for each in (section, replace(section, after=higher), replace(section, after=section.after[:0]))
    )
    assert words.shape != other.shape or (words != other).any()
    assert words.shape != alone.shape or (words != alone).any()


def test_a_section_may_begin_late_in_a_piece(composer: EventTransformer) -> None:
    """Only the bars that are given are heard, wherever they stand."""
    notes = decode(composed(engine_for(composer), FREE, ControlTrack(TempoMap.constant(120), (5,) * 5, (), 80)))
    rows = encode(notes, 4, rich=True)[: np.flatnonzero(np.cumsum(encode(notes, 5)[:, Column.BEAT] == BAR) == 5)[0]]
    rows[:, Column.POSITION] += 16 * 200
    rows[:, Column.TIMING] = beat_timing(rows[:, Column.POSITION], 300 * 16)
    control = ControlTrack(TempoMap.constant(120), (5,) * 300, (), 300 * 16)
    section = Infill(204, 206, rows, rows[:0], heard_from=200)
    (words,) = compose(Decoding(engine_for(composer), control, FREE, section=section))
    assert words[words[:, Column.BEAT] == BAR, Column.POSITION].tolist() == [204 * 16, 205 * 16]
