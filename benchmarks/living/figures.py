"""What comes of a measurement: figures in milliseconds and counts, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["Result", "percentile", "spread", "table"]


@dataclass
class Result:
    """Lines to be shown, and what is not as it must be."""

    lines: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def require(self, holds: bool, fault: str) -> None:
        """Note a fault where something does not hold."""
        if not holds:
            self.faults.append(fault)


def percentile(values: Sequence[float], share: float) -> float:
    """Give the value that a share of all does not exceed; 0 where there is none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def spread(values: Sequence[float]) -> list[float]:
    """Give p50, p99, p99.9 and the greatest of absolute values."""
    sizes = [abs(value) for value in values]
    return [percentile(sizes, share) for share in (0.5, 0.99, 0.999, 1.0)]


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """Lay out rows below a head; numbers stand right."""
    texts = [[each if isinstance(each, str) else f"{each:g}" for each in row] for row in rows]
    widths = [max(len(row[index]) for row in [list(head), *texts]) for index in range(len(head))]
    return [
        "  ".join(
            text.ljust(width) if index == 0 else text.rjust(width)
            for index, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in [list(head), *texts]
    ]
