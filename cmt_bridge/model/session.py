"""Decoding: control in, compound words out, word by word, several candidates in one batch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cmt_bridge.core.control import ControlTrack
from cmt_bridge.core.options import ComposeOptions
from cmt_bridge.core.tempo import TICKS_PER_BAR
from cmt_bridge.core.tokens import BAR, COLUMNS, Column, TokenRows, Type, beat_timing
from cmt_bridge.model.cursor import Cursor
from cmt_bridge.model.engine import Engine
from cmt_bridge.model.filters import allowed_classes, filters_for
from cmt_bridge.model.network import State, initial_tokens

__all__ = ["Session", "Snapshot", "compose", "draw"]

NUCLEUS_EPS = 1e-5  # of the released code: probabilities are divided by their sum and this


def draw(
    logits: npt.NDArray[np.float32],
    allowed: npt.NDArray[np.bool_],
    temperature: float,
    nucleus: float,
    generator: np.random.Generator,
) -> int:
    """Draw a class from logits (classes) among the allowed ones: temperature, then the smallest set of most likely
    classes whose chances pass `nucleus` (Holtzman et al. 2020), the one that passes included.
    """
    choices = np.flatnonzero(allowed)
    if len(choices) == 1:
        return int(choices[0])
    scaled = logits[choices].astype(np.float64) / temperature
    chances = np.exp(scaled - scaled.max())
    chances /= chances.sum()
    if nucleus < 1.0:
        order = np.argsort(-chances, kind="stable")
        passed = np.cumsum(chances[order] / (1.0 + NUCLEUS_EPS))
        kept = order[: int(np.searchsorted(passed, nucleus)) + 1]
        choices, chances = choices[kept], chances[kept] / chances[kept].sum()
    return int(choices[min(len(choices) - 1, int(np.searchsorted(np.cumsum(chances), generator.random(), "right")))])


@dataclass(frozen=True)
class Snapshot:
    """All that is needed to go on from a bar line: state and hidden state of one candidate, its place and its dice.

    `state` and `hidden` have a batch of one, or of two for a network that remembers only so many words.
    """

    state: State
    hidden: Tensor
    cursor: Cursor
    generator: np.random.Generator


OnBarLine = Callable[[int, Snapshot], None]
"""Called with candidate and snapshot at every bar line; `snapshot.cursor.bar` is the bar that has ended."""


class Session:
    """Decode candidates for one control track together, from the start or from `snapshots`.

    From the start there is one candidate for each of `seeds` (the options' seed else), from snapshots one for each,
    which goes on as if it had never stopped. Iterating gives (candidate, word) in the order of decoding; a word is an
    int64 array (9). The last bar ends with the piece's last chord, and the EOS word is not given. Only one word per
    candidate is ever held, so that a piece of any length takes the same memory.

    Where the network remembers only so many words, each candidate has two states: an older one that speaks, and one
    that began half of that later. When the older is full, at a bar line, the younger takes its place and a new one
    begins. So the network never meets a state fuller than those it was trained on, however long the piece.
    """

    def __init__(
        self,
        engine: Engine,
        control: ControlTrack,
        options: ComposeOptions,
        *,
        seeds: Sequence[int] | None = None,
        snapshots: Sequence[Snapshot] | None = None,
        on_bar_line: OnBarLine | None = None,
    ) -> None:
        self.engine = engine
        self.control = control.with_ending()
        self.options = options
        self.filters = filters_for(self.control, options)
        self.on_bar_line = on_bar_line
        memory = engine.network.config.memory
        self._lanes = 2 if memory else 1  # states per candidate: the one that speaks, and a younger
        self._full = memory * 3 // 4  # words; the bar that follows must find room as well
        self._fresh = self._primed()
        if snapshots is None:
            snapshots = self._beginnings([options.seed] if seeds is None else seeds)
        self._candidates = list(range(len(snapshots)))
        self._cursors = [snapshot.cursor.copy() for snapshot in snapshots]
        self._generators = [_copied(snapshot.generator) for snapshot in snapshots]
        self._state = State(*(torch.cat(parts, 1) for parts in zip(*(s.state for s in snapshots), strict=True)))
        self._hidden = torch.cat([snapshot.hidden for snapshot in snapshots])

    def _beginnings(self, seeds: Sequence[int]) -> list[Snapshot]:
        """Give a snapshot before the first word for every seed."""
        state, hidden = self._fresh
        state = State(*(torch.cat([part] * self._lanes, 1) for part in state))
        hidden = torch.cat([hidden] * self._lanes)
        return [
            Snapshot(state, hidden, Cursor(seed=seed), np.random.Generator(np.random.PCG64(seed))) for seed in seeds
        ]

    def _primed(self) -> tuple[State, Tensor]:
        """Give state and hidden state after the initial tokens: those of the instruments that may play."""
        tokens = initial_tokens()[0].numpy()
        tokens[~np.isin(tokens[:, 2], self.options.instruments), 2] = 0
        state = self.engine.state()
        return state, self.engine.prime(tokens, state)

    def _snapshot(self, place: int) -> Snapshot:
        lanes = slice(place * self._lanes, (place + 1) * self._lanes)
        state = State(*(part[:, lanes].clone() for part in self._state))
        cursor = self._cursors[place].copy()
        cursor.bar_due = True
        return Snapshot(state, self._hidden[lanes].clone(), cursor, _copied(self._generators[place]))

    @torch.inference_mode()
    def _forget(self, place: int) -> None:
        """Let the younger memory speak where the older is full, and begin a new one where it is time."""
        cursor, older = self._cursors[place], place * self._lanes
        younger, staggered = older + 1, cursor.younger_age < cursor.age
        if self._lanes == 1 or cursor.age < (self._full if staggered else self._full // 2):
            return
        if staggered:
            for part in self._state:
                part[:, older] = part[:, younger]
            self._hidden[older] = self._hidden[younger]
            cursor.age = cursor.younger_age
        state, hidden = self._fresh
        for part, fresh in zip(self._state, state, strict=True):
            part[:, younger] = fresh[:, 0]
        self._hidden[younger] = hidden[0]
        cursor.younger_age = 0

    @property
    def share_done(self) -> float:
        """The share of the piece, 0..1, that the slowest candidate has behind it."""
        positions = [cursor.position for cursor in self._cursors] or [self.control.n_beat]
        return min(1.0, min(positions) / self.control.n_beat)

    def __iter__(self) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
        while self._candidates:
            rows = np.zeros((len(self._candidates), COLUMNS), np.int64)
            rhythm = self._logits(Type.RHYTHM) if any(c.owed_notes == 0 for c in self._cursors) else None
            note = self._logits(Type.NOTE) if any(c.owed_notes > 0 for c in self._cursors) else None
            going: list[int] = []
            for place, cursor in enumerate(self._cursors):
                if cursor.owed_notes > 0:
                    assert note is not None
                    self._note(rows[place], place, note)
                else:
                    assert rhythm is not None
                    if not self._rhythm(rows[place], place, rhythm):
                        continue
                rows[place, Column.POSITION] = cursor.position
                cursor.age += 1
                cursor.younger_age += 1
                going.append(place)
            if len(going) < len(self._candidates):
                rows = rows[going]
                self._keep(going)
            if not going:
                return
            rows[:, Column.TIMING] = beat_timing(rows[:, Column.POSITION], self.control.n_beat)
            self._hidden = self.engine.step(rows.repeat(self._lanes, 0), self._state)
            yield from zip(self._candidates, rows, strict=True)

    def _logits(self, kind: Type) -> dict[Column, npt.NDArray[np.float32]]:
        return self.engine.logits(self._hidden[:: self._lanes], np.full(len(self._candidates), int(kind)))

    def _keep(self, places: list[int]) -> None:
        """Let only the candidates at some places go on."""
        self._candidates = [self._candidates[place] for place in places]
        self._cursors = [self._cursors[place] for place in places]
        self._generators = [self._generators[place] for place in places]
        lanes = [place * self._lanes + lane for place in places for lane in range(self._lanes)]
        index = torch.tensor(lanes, dtype=torch.long)
        self._state = State(*(part[:, index] for part in self._state))
        self._hidden = self._hidden[index]

    def _choose(self, column: Column, place: int, logits: dict[Column, npt.NDArray[np.float32]]) -> int:
        allowed = allowed_classes(self.filters, column, self._cursors[place])
        options = self.options
        temperature, nucleus = options.temperature[column], options.nucleus[column]
        return draw(logits[column][place], allowed, temperature, nucleus, self._generators[place])

    def _note(self, row: npt.NDArray[np.int64], place: int, logits: dict[Column, npt.NDArray[np.float32]]) -> None:
        cursor = self._cursors[place]
        row[Column.TYPE] = Type.NOTE
        row[Column.INSTRUMENT] = cursor.instrument
        row[Column.PITCH] = self._choose(Column.PITCH, place, logits)
        row[Column.DURATION] = self._choose(Column.DURATION, place, logits)
        cursor.take_note(int(row[Column.PITCH]) - 1, int(row[Column.DURATION]) - 1)

    def _rhythm(self, row: npt.NDArray[np.int64], place: int, logits: dict[Column, npt.NDArray[np.float32]]) -> bool:
        """Fill in a bar or beat word; False where the piece has ended instead."""
        cursor = self._cursors[place]
        beat = BAR if cursor.bar_due else self._choose(Column.BEAT, place, logits)
        row[Column.TYPE], row[Column.BEAT] = Type.RHYTHM, beat
        if beat == BAR:
            if cursor.bar + 1 == self.control.bars:
                return False
            if self.on_bar_line is not None:
                self.on_bar_line(self._candidates[place], self._snapshot(place))
            self._forget(place)
            self._start_bar(place)
            row[Column.DENSITY] = self._choose(Column.DENSITY, place, logits)
            cursor.owed_ticks = int(row[Column.DENSITY]) - 1
            return True
        row[Column.DENSITY] = cursor.owed_ticks if beat - 1 != cursor.tick else cursor.owed_ticks + 1
        cursor.move_to(beat - 1)
        row[Column.INSTRUMENT] = self._choose(Column.INSTRUMENT, place, logits)
        cursor.start_simu_note(int(row[Column.INSTRUMENT]))
        row[Column.STRENGTH] = cursor.owed_notes = self._choose(Column.STRENGTH, place, logits)
        return True

    def _start_bar(self, place: int) -> None:
        """Cross a bar line and draw, with the chance C of this bar, what of the picture is followed (Alg. 1).

        The draws belong to seed, bar and tick alone: what the picture asks elsewhere does not change them.
        """
        cursor = self._cursors[place]
        cursor.start_bar()
        bar = cursor.bar
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


def compose(session: Session, progress: Callable[[float], None] | None = None) -> list[TokenRows]:
    """Decode to the end; give the words (rows, 9) of every candidate. `progress` gets the share done, 0..1."""
    words: dict[int, list[npt.NDArray[np.int64]]] = defaultdict(list)
    for candidate, word in session:
        words[candidate].append(word)
        if progress is not None:
            progress(session.share_done)
    return [np.stack(words[candidate]) for candidate in sorted(words)]
