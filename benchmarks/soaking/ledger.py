"""What is counted, and what there must be."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Expected", "Row"]


@dataclass
class Row:
    """What a scenario came to; `problems` are sentences, `facts` lines for the report."""

    name: str
    expected: int = 0
    found: int = 0
    lost: int = 0
    doubled: int = 0
    half: int = 0
    changed: int = 0
    stray: int = 0
    parts: int = 0
    minutes: float = 0.0
    daemon: float = 0.0
    worker: float = 0.0
    problems: list[str] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Tell whether nothing went wrong."""
        return not (self.lost or self.doubled or self.half or self.changed or self.stray)

    def blame(self, count: str, problem: str) -> None:
        """Add one to a count, and say why."""
        setattr(self, count, getattr(self, count) + 1)
        self.problems.append(f"{count}: {problem}")


@dataclass
class Expected:
    """What there must be.

    Contents with exactly one score, and contents that may have one, by hash; the person's files by path; and paths that
    must have a note.
    """

    once: dict[str, str] = field(default_factory=dict)
    maybe: set[str] = field(default_factory=set)
    files: dict[str, str] = field(default_factory=dict)
    notes: set[str] = field(default_factory=set)

    def add(self, path: str, sha256: str) -> None:
        """Expect a file to be as it is, and to be scored once."""
        self.once[sha256] = path
        self.files[path] = sha256
