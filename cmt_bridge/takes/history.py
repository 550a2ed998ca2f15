"""The history of a project: every choice of a take, each of which can be undone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from cmt_bridge.core.bounds import CHOICES, TAKE, fault_of, shortened
from cmt_bridge.errors import ScoreError, UsageError

__all__ = ["Choice", "History", "Mark"]

Mark = Literal["accepted", "rejected"]


@dataclass(frozen=True, slots=True)
class Choice:
    """A step of the history: the verb, the take that is current after it, and what is accepted or rejected then."""

    verb: str
    current: int
    marks: Mapping[int, Mark] = field(default_factory=dict)


@dataclass(frozen=True)
class History:
    """All choices, and which of them holds: those behind `position` were undone."""

    choices: tuple[Choice, ...] = ()
    position: int = -1

    @property
    def now(self) -> Choice | None:
        """The choice that holds; None where none was made yet."""
        return self.choices[self.position] if self.choices else None

    @property
    def marks(self) -> Mapping[int, Mark]:
        """What is accepted and rejected."""
        return self.now.marks if self.now else {}

    def then(self, choice: Choice) -> History:
        """Return the history after another choice; what was undone cannot be redone any more."""
        done = (*self.choices[: self.position + 1], choice)
        return History(done, len(done) - 1)

    def undo(self) -> History:
        """Return the history with its last choice undone. Raises `UsageError` where there is none to undo."""
        if self.position < 1:
            raise UsageError("There is nothing to undo.", hint="`cmt-bridge takes` lists what there is.")
        return replace(self, position=self.position - 1)

    def redo(self) -> History:
        """Return the history with the choice that was undone last. Raises `UsageError` where there is none."""
        if self.position + 1 >= len(self.choices):
            raise UsageError("There is nothing to redo.", hint="`cmt-bridge takes` lists what there is.")
        return replace(self, position=self.position + 1)

    def to_json(self) -> dict[str, Any]:
        return {
            "position": self.position,
            "choices": [
                {"verb": c.verb, "current": c.current, "marks": {str(n): mark for n, mark in c.marks.items()}}
                for c in self.choices
            ],
        }

    @classmethod
    def from_json(cls, data: Any, *, source: str) -> History:
        """Read the JSON form. Raises `ScoreError` where it is none; `source` names the file."""
        try:
            CHOICES.of(len(data["choices"]))
            choices = tuple(
                Choice(
                    str(c["verb"]),
                    TAKE.whole(c["current"]),
                    {TAKE.whole(n): _mark(mark) for n, mark in c["marks"].items()},
                )
                for c in data["choices"]
            )
            position = int(data["position"])
            if not -1 <= position < len(choices) or (choices and position < 0):
                raise ValueError(f"position {position}")
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ScoreError(
                f"{source} is damaged: {fault_of(error)}.", hint="Move it away: then the last take is the current one."
            ) from error
        return cls(choices, position)


def _mark(text: Any) -> Mark:
    if text == "accepted":
        return "accepted"
    if text == "rejected":
        return "rejected"
    raise ValueError(f"no such mark as {shortened(str(text))}")
