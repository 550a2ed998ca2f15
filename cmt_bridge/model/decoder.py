"""The interface between decoding and a network, whichever it is: logits of the next attribute, words fed back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cmt_bridge.core.events import Part
from cmt_bridge.core.options import ComposeOptions
from cmt_bridge.core.tokens import CHOSEN, Column
from cmt_bridge.errors import UsageError
from cmt_bridge.model.decoding_state import DecodingState
from cmt_bridge.model.paper_engine import PaperEngine
from cmt_bridge.model.paper_network import State, initial_tokens
from cmt_bridge.model.rows import ROWS

__all__ = ["Decoder", "PaperDecoder", "Word"]

Word = npt.NDArray[np.int64]
"""One row of `TokenRows`."""


class Decoder(Protocol):
    """The candidates of a decoding, as a network has them cached; `place` counts those that still go on.

    `words_per_step` is the number of words that a note takes before it is fed to the network: one, or two where a
    simu-note's first note is sampled together with its beat word. `note_columns` are sampled for a note, in this order.
    `nucleus` is the share of each column's probability that is sampled from by default (top-p).
    """

    words_per_step: int
    note_columns: tuple[Column, ...]
    nucleus: Mapping[Column, float]

    def begin(self, rows: Sequence[int], bar: int = 0) -> None:
        """Start candidates before the first word, which is a bar word; `rows` are theirs in products (`rows_of`)."""

    def resume(self, caches: Sequence[Any], rows: Sequence[int]) -> None:
        """Start a candidate from each of the caches that `cache` returned; `rows` are theirs in products."""

    def fork(self, rows: Sequence[int]) -> None:
        """Continue the only candidate as several; `rows` are theirs in products."""

    def cache(self, place: int) -> Any:
        """Return a copy of what a candidate has cached."""

    def seek(self, part: Part, bar: int) -> bool:
        """Continue with another part of the piece, at a bar; return False where the network only ever goes forwards."""

    def cross(self, place: int, cursor: DecodingState) -> None:
        """Prepare for a bar line."""

    def logits(self, places: Sequence[int], column: Column, words: Sequence[Word]) -> npt.NDArray[np.float32]:
        """Return the logits (places, classes) of a column, given what is decided of the words of the candidates at
        some places, in order: their type, the same for all, and the columns sampled before.
        """

    def open(self, place: int, word: Word) -> None:
        """Keep a beat word, whose first note is sampled before it is fed to the network."""

    def feed(self, said: Sequence[Sequence[Word]], cursors: Sequence[DecodingState]) -> None:
        """Feed the words that each candidate has sampled since it was last fed."""

    def gathering(self) -> AbstractContextManager[None]:
        """Feed all that the body feeds to one candidate in one pass at its end, where that is faster."""

    def select(self, places: Sequence[int]) -> None:
        """Keep only the candidates at some places."""


class PaperDecoder:
    """Decode with the paper's network: a word at a time, its attributes independent of each other.

    Where its memory holds only so many words, each candidate has two states: an older one that is sampled from, and one
    that began half of that later. When the older is full, at a bar line, the younger replaces it and a new one begins.
    So the network never meets a state fuller than those it was trained on, however long the piece.
    """

    words_per_step = 1
    note_columns: tuple[Column, ...] = (Column.PITCH, Column.DURATION)
    # The paper's 0.9, but for columns where at 0.9 an instrument that enters seldom never does.
    nucleus: Mapping[Column, float] = dict.fromkeys(CHOSEN, 0.9) | {
        Column.BEAT: 0.95,
        Column.INSTRUMENT: 1.0,
        Column.STRENGTH: 0.95,
    }

    def __init__(self, engine: PaperEngine, options: ComposeOptions) -> None:
        if options.style or options.key:
            raise UsageError("This model knows neither styles nor keys.", hint="Leave out --style and --key.")
        self.engine = engine
        memory = engine.network.config.memory
        self._lanes = 2 if memory else 1  # states per candidate: the one that is sampled from, and a younger
        self._full = memory * 3 // 4  # words; the bar that follows must find room as well
        tokens = initial_tokens()[0].numpy()
        tokens[~np.isin(tokens[:, 2], options.instruments), 2] = 0
        state = engine.state()
        self._fresh = state, engine.prime(tokens, state)
        self._ready: dict[int, dict[Column, npt.NDArray[np.float32]]] = {}
        self.resume([], [])

    def begin(self, rows: Sequence[int], bar: int = 0) -> None:  # noqa: ARG002
        state, hidden = self._fresh
        cache = State(*(torch.cat([part] * self._lanes, 1) for part in state)), torch.cat([hidden] * self._lanes)
        self.resume([cache] * len(rows), rows)

    def resume(self, caches: Sequence[tuple[State, Tensor]], rows: Sequence[int]) -> None:
        empty = State(*(part[:, :0] for part in self._fresh[0]))
        states = [cache[0] for cache in caches] or [empty]
        self._state = State(*(torch.cat(parts, 1) for parts in zip(*states, strict=True)))
        self._hidden = torch.cat([cache[1] for cache in caches]) if caches else self._fresh[1][:0]
        self._rows = list(rows)
        self._ready.clear()

    def fork(self, rows: Sequence[int]) -> None:
        self.resume([self.cache(0)] * len(rows), rows)

    def cache(self, place: int) -> tuple[State, Tensor]:
        lanes = slice(place * self._lanes, (place + 1) * self._lanes)
        return State(*(part[:, lanes].clone() for part in self._state)), self._hidden[lanes].clone()

    def seek(self, part: Part, bar: int) -> bool:  # noqa: ARG002
        return False

    @torch.inference_mode()
    def cross(self, place: int, cursor: DecodingState) -> None:
        """Replace the older state by the younger where it is full, and begin a new one where it is time."""
        older = place * self._lanes
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
        self._ready.clear()

    def logits(self, places: Sequence[int], column: Column, words: Sequence[Word]) -> npt.NDArray[np.float32]:
        kind = int(words[0][Column.TYPE])
        if kind not in self._ready:  # all candidates at once: they mostly want the same
            kinds = np.full(len(self._hidden) // self._lanes, kind)
            self._ready[kind] = self.engine.logits(self._hidden[:: self._lanes], kinds, self._rows)
        logits: npt.NDArray[np.float32] = self._ready[kind][column][list(places)]
        return logits

    def open(self, place: int, word: Word) -> None:
        """Keep nothing: beat words are fed to this network by themselves."""

    def gathering(self) -> AbstractContextManager[None]:
        return nullcontext()

    def feed(self, said: Sequence[Sequence[Word]], cursors: Sequence[DecodingState]) -> None:
        for cursor in cursors:
            cursor.age += 1
            cursor.younger_age += 1
        rows = np.stack([words[0] for words in said]).repeat(self._lanes, 0)
        self._hidden = self.engine.step(rows, self._state, self._lane_rows())
        self._ready.clear()

    def _lane_rows(self) -> list[int]:
        """Return the rows of all states: blocks of the older ones, and blocks of the younger ones."""
        lanes = range(self._lanes)
        return [(row // ROWS * self._lanes + lane) * ROWS + row % ROWS for row in self._rows for lane in lanes]

    def select(self, places: Sequence[int]) -> None:
        lanes = [place * self._lanes + lane for place in places for lane in range(self._lanes)]
        index = torch.tensor(lanes, dtype=torch.long)
        self._state = State(*(part[:, index] for part in self._state))
        self._hidden = self._hidden[index]
        self._rows = [self._rows[place] for place in places]
        self._ready.clear()
