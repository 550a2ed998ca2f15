"""Decoding: a control track in, compound words out, word by word, several candidates in one batch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from cmt_bridge.core.control import ControlTrack
from cmt_bridge.core.events import Part
from cmt_bridge.core.form import returns
from cmt_bridge.core.options import ComposeOptions
from cmt_bridge.core.tempo import TICKS_PER_BAR
from cmt_bridge.core.tokens import BAR, COLUMNS, DURATIONS, Column, TokenRows, Type, beat_timing
from cmt_bridge.model.decoder import Decoder, PaperDecoder, Word
from cmt_bridge.model.decoding_state import DecodingState
from cmt_bridge.model.event_decoder import EventDecoder, EventEngine
from cmt_bridge.model.event_network import EventTransformer
from cmt_bridge.model.filters import allowed_classes, filters_for
from cmt_bridge.model.infill import Infill
from cmt_bridge.model.paper_engine import PaperEngine, Precision
from cmt_bridge.model.paper_network import PaperNetwork
from cmt_bridge.model.repetition import RepetitionBias
from cmt_bridge.model.rows import rows_of
from cmt_bridge.model.tonality import KeyBias

__all__ = ["Decoding", "Snapshot", "compose", "draw", "engine_for"]

NUCLEUS_EPS = 1e-5  # of the released code: probabilities are divided by their sum and this
ORDER = (
    Column.BEAT,
    Column.DENSITY,
    Column.INSTRUMENT,
    Column.STRENGTH,
    Column.PITCH,
    Column.DURATION,
    Column.VELOCITY,
)
"""The columns of an event in the order in which they are sampled."""

Question = tuple[Column, Word]
"""A column to be sampled, and the word that it is of."""


def draw(
    logits: npt.NDArray[np.float32],
    allowed: npt.NDArray[np.bool_],
    temperature: float,
    nucleus: float,
    generators: Sequence[np.random.Generator],
) -> list[int]:
    """Sample a class for each row of logits (rows, classes) among the allowed ones: temperature, then the smallest set
    of most likely classes whose probabilities pass `nucleus` (Holtzman et al. 2020), the one that passes included.

    A row that leaves no choice consumes no random number.
    """
    rows = np.arange(len(logits))
    choices = allowed.sum(1)
    scaled = np.where(allowed, logits, -np.inf).astype(np.float64) / temperature
    weights = np.exp(scaled - scaled.max(1, keepdims=True))
    order = (-weights if nucleus < 1.0 else ~allowed).argsort(1, kind="stable")
    ends = weights[rows[:, None], order].cumsum(1)
    passing = (ends < nucleus * (1.0 + NUCLEUS_EPS) * ends[:, -1:]).sum(1)
    last = np.minimum(passing, choices - 1)
    randoms = [g.random() if several else 0.0 for g, several in zip(generators, choices > 1, strict=True)]
    drawn = np.minimum((ends <= (randoms * ends[rows, last])[:, None]).sum(1), last)
    found: list[int] = order[rows, drawn].tolist()
    return found


def engine_for(network: PaperNetwork | EventTransformer, precision: Precision = "float32") -> PaperEngine | EventEngine:
    """Return an engine for a network, whichever it is. Raises `UsageError` where a precision cannot be had."""
    return EventEngine(network, precision) if isinstance(network, EventTransformer) else PaperEngine(network, precision)


def decoder_for(engine: PaperEngine | EventEngine, options: ComposeOptions) -> Decoder:
    """Return the decoder of an engine for some options."""
    if isinstance(engine, EventEngine):
        return EventDecoder(engine, engine.conditioning(options))
    return PaperDecoder(engine, options)


@dataclass(frozen=True)
class Snapshot:
    """All that is needed to go on from a bar line: the cache of one candidate, its place and its random state.

    `cache` is what the decoder of the network returned; it fits the same network only.
    """

    cache: Any
    cursor: DecodingState
    generator: np.random.Generator


OnBarLine = Callable[[int, Snapshot], None]
"""Called with candidate and snapshot at every bar line; `snapshot.cursor.bar` is the bar that has ended."""


class Decoding:
    """Decode candidates for one control track together: a whole piece, the bars between others, or from `snapshots`.

    From the start there is one candidate for each of `seeds` (the options' seed else), from snapshots one for each,
    which goes on as if it had never stopped. Iterating gives (candidate, word) in the order of decoding; a word is an
    int64 array (columns of `Column`). The last bar ends with the piece's last chord, and the EOS word is not given.
    Only what the network still attends to is held, so that a piece of any length takes the same memory.

    With a `section`, only its bars are composed: the bars before it are fed first and, where the network can, those
    after it.
    """

    def __init__(
        self,
        engine: PaperEngine | EventEngine,
        control: ControlTrack,
        options: ComposeOptions,
        *,
        seeds: Sequence[int] | None = None,
        snapshots: Sequence[Snapshot] | None = None,
        section: Infill | None = None,
        on_bar_line: OnBarLine | None = None,
    ) -> None:
        self.control = control.with_ending()
        self.options = options
        self.filters = filters_for(self.control, options, section.filters() if section is not None else ())
        self.biases = (RepetitionBias(options.recall), KeyBias(options.key_class))
        told = options.recall > 0 and options.follows
        self.form: Sequence[int | None] = returns(control.bars) if told else [None] * control.bars
        self.on_bar_line = on_bar_line
        self.decoder = decoder_for(engine, options)
        self._timing = beat_timing(np.arange(control.bars * TICKS_PER_BAR), control.n_beat)
        self._last = control.bars if section is None else section.last
        if snapshots is None:
            seeds = [options.seed] if seeds is None else seeds
            self._cursors = [DecodingState(seed=seed) for seed in seeds]
            self._generators = [np.random.Generator(np.random.PCG64(seed)) for seed in seeds]
            if section is None:
                self.decoder.begin(rows_of(seeds))
            else:
                self._feed_around(section)
        else:
            self._cursors = [snapshot.cursor.copy() for snapshot in snapshots]
            self._generators = [_copied(snapshot.generator) for snapshot in snapshots]
            rows = rows_of([cursor.seed for cursor in self._cursors])
            self.decoder.resume([snapshot.cache for snapshot in snapshots], rows)
        self._candidates = list(range(len(self._cursors)))

    def _feed_around(self, section: Infill) -> None:
        """Feed the bars before a section and, where the network can, those after it: once, for all candidates."""
        cursor = DecodingState(seed=section.seed, bar=section.heard_from - 1)
        with self.decoder.gathering():
            self.decoder.begin([0], section.heard_from)
            for word in section.before:
                self._take(word, cursor)
                self.decoder.feed([[word]], [cursor])
            if len(section.after) and self.decoder.seek(Part.AFTER, section.last):
                passing = DecodingState(seed=section.seed, bar=section.last - 1)
                for word in section.after:
                    self._take(word, passing)
                    passing.returns = None  # bars that are fed out of order have no return
                    self.decoder.feed([[word]], [passing])
                self.decoder.seek(Part.MIDDLE, section.first)
        cursor.bar_due = True
        self._cursors = [replace(cursor.copy(), seed=each.seed) for each in self._cursors]
        self.decoder.fork(rows_of([each.seed for each in self._cursors]))

    def _snapshot(self, place: int) -> Snapshot:
        cursor = self._cursors[place].copy()
        cursor.bar_due = True
        return Snapshot(self.decoder.cache(place), cursor, _copied(self._generators[place]))

    @property
    def share_done(self) -> float:
        """The share of the piece, 0..1, that the slowest candidate has behind it."""
        positions = [cursor.position for cursor in self._cursors] or [self.control.n_beat]
        return min(1.0, min(positions) / self.control.n_beat)

    def __iter__(self) -> Iterator[tuple[int, Word]]:
        while self._candidates:
            said = self._sample_together()
            going = [place for place, words in enumerate(said) if words]
            if len(going) < len(said):
                said = [said[place] for place in going]
                self._select(going)
            if not going:
                return
            self.decoder.feed(said, self._cursors)
            for candidate, words in zip(self._candidates, said, strict=True):
                for word in words:
                    yield candidate, word

    def _select(self, places: list[int]) -> None:
        """Let only the candidates at some places go on."""
        self._candidates = [self._candidates[place] for place in places]
        self._cursors = [self._cursors[place] for place in places]
        self._generators = [self._generators[place] for place in places]
        self.decoder.select(places)

    def _sample_together(self) -> list[list[Word]]:
        """Return the next words of every candidate; those that sample the same column share one call."""
        sayings = [self._sample(place) for place in range(len(self._candidates))]
        said: list[list[Word]] = [[] for _ in sayings]
        asked: dict[int, Question] = {}
        answers: dict[int, int | None] = dict.fromkeys(range(len(sayings)))
        while True:
            for place, answer in answers.items():
                try:
                    asked[place] = sayings[place].send(answer)  # type: ignore[arg-type]
                except StopIteration as end:
                    said[place] = end.value
            if not asked:
                return said
            column = min((column for column, _ in asked.values()), key=ORDER.index)
            places = sorted(place for place, (wanted, _) in asked.items() if wanted is column)
            words = [asked.pop(place)[1] for place in places]
            answers = dict(zip(places, self._choose(column, places, words), strict=True))

    def _sample(self, place: int) -> Generator[Question, int, list[Word]]:
        """Sample the next words of a candidate, until they must be fed to the network; none where it has ended.

        Yields each column to be sampled with its word, and is sent the class.
        """
        words: list[Word] = []
        while len(words) < self.decoder.words_per_step:
            cursor = self._cursors[place]
            word: Word = np.zeros(COLUMNS, np.int64)
            if cursor.owed_notes > 0:
                yield from self._note(word, place)
            elif not (yield from self._rhythm(word, place)):
                return []
            word[Column.POSITION] = cursor.position
            word[Column.TIMING] = self._timing[cursor.position]
            words.append(word)
            if word[Column.TYPE] == Type.NOTE or word[Column.BEAT] == BAR:
                break
            self.decoder.open(place, word)
        return words

    def _choose(self, column: Column, places: Sequence[int], words: Sequence[Word]) -> list[int]:
        """Sample a column for the candidates at some places; the network computes logits where there is a choice."""
        allowed = [allowed_classes(self.filters, column, self._cursors[place]) for place in places]
        chosen = [int(each.argmax()) for each in allowed]
        open_ = [number for number, each in enumerate(allowed) if np.count_nonzero(each) > 1]
        if not open_:
            return chosen
        where = [places[number] for number in open_]
        logits = self.decoder.logits(where, column, [words[number] for number in open_])
        size = min(len(allowed[0]), logits.shape[1])  # networks know fewer or more classes than the filters
        logits = np.array(logits[:, :size])
        for row, place in enumerate(where):
            for habit in self.biases:
                leaning = habit.bias(column, self._cursors[place])
                if leaning is not None:
                    logits[row] += leaning[:size].astype(np.float32)
        drawn = draw(
            logits,
            np.stack([allowed[number][:size] for number in open_]),
            self.options.temperature[column],
            self.options.nucleus.get(column, self.decoder.nucleus[column]),
            [self._generators[place] for place in where],
        )
        for number, each in zip(open_, drawn, strict=True):
            chosen[number] = each
        return chosen

    def _note(self, word: Word, place: int) -> Generator[Question, int, None]:
        cursor = self._cursors[place]
        word[Column.TYPE] = Type.NOTE
        word[Column.INSTRUMENT] = cursor.instrument
        for column in self.decoder.note_columns:
            word[column] = yield column, word
        cursor.take_note(int(word[Column.PITCH]) - 1, DURATIONS[int(word[Column.DURATION]) - 1])

    def _rhythm(self, word: Word, place: int) -> Generator[Question, int, bool]:
        """Fill in a bar or beat word; False where the piece has ended instead."""
        cursor = self._cursors[place]
        word[Column.TYPE] = Type.RHYTHM
        word[Column.BEAT] = beat = BAR if cursor.bar_due else (yield Column.BEAT, word)
        if beat == BAR:
            if cursor.bar + 1 == self._last:
                return False
            if self.on_bar_line is not None:
                self.on_bar_line(self._candidates[place], self._snapshot(place))
            self.decoder.cross(place, cursor)
            self._start_bar(place)
            word[Column.DENSITY] = yield Column.DENSITY, word
            cursor.owed_ticks = int(word[Column.DENSITY]) - 1
            return True
        word[Column.DENSITY] = cursor.owed_ticks if beat - 1 != cursor.tick else cursor.owed_ticks + 1
        cursor.move_to(beat - 1)
        word[Column.INSTRUMENT] = yield Column.INSTRUMENT, word
        cursor.start_simu_note(int(word[Column.INSTRUMENT]))
        word[Column.STRENGTH] = cursor.owed_notes = yield Column.STRENGTH, word
        return True

    def _start_bar(self, place: int) -> None:
        """Cross a bar line."""
        cursor = self._cursors[place]
        cursor.start_bar()
        self._follow(cursor)

    def _take(self, word: Word, cursor: DecodingState) -> None:
        """Advance over a word that was composed elsewhere, as if it had been composed here."""
        cursor.take(word)
        if word[Column.TYPE] == Type.RHYTHM and word[Column.BEAT] == BAR and cursor.bar < len(self.form):
            self._follow(cursor)

    def _follow(self, cursor: DecodingState) -> None:
        """Draw, with probability C, what of the picture is followed in a bar that begins (Alg. 1).

        The draws depend on seed, bar and tick alone: what the picture asks elsewhere does not change them.
        """
        bar = cursor.bar
        cursor.returns = self.form[bar]
        draws = np.random.default_rng((cursor.seed, bar)).random(1 + TICKS_PER_BAR)
        cursor.follow_density = draws[0] < self.options.density_control_of(bar)
        chance = self.options.beat_control_of(bar)
        for beat in self.control.beats_of(bar):
            tick = beat.tick % TICKS_PER_BAR
            if draws[1 + tick] < chance:
                cursor.hits[tick] = beat.strength


def _copied(generator: np.random.Generator) -> np.random.Generator:
    copy = np.random.Generator(np.random.PCG64())
    copy.bit_generator.state = generator.bit_generator.state
    return copy


def compose(session: Decoding, progress: Callable[[float], None] | None = None) -> list[TokenRows]:
    """Decode to the end; return the words (rows, 9) of every candidate. `progress` gets the share done, 0..1."""
    words: dict[int, list[npt.NDArray[np.int64]]] = defaultdict(list)
    for candidate, word in session:
        words[candidate].append(word)
        if progress is not None:
            progress(session.share_done)
    return [np.stack(words[candidate]) for candidate in sorted(words)]
