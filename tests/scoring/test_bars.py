"""Which bars a marker's name means."""

from __future__ import annotations

import pytest

from cmt_bridge.core.score import Marker, Score
from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.errors import UsageError
from cmt_bridge.scoring.bars import bars_of

NEW = [Marker(2.0 * n, "beat", f"Hit {n} · {'very strong' if n == 3 else 'strong'}") for n in range(1, 31)]
OLD = [Marker(4.0, "beat", "Hit 0.95"), Marker(8.0, "beat", "Hit 0.97"), Marker(12.0, "cut", "Cut 1")]


def first_bar(markers: list[Marker], name: str) -> int:
    score = Score(TempoMap.constant(120), (), 40, 80.0, markers=tuple(markers))
    ((first, _),) = bars_of(score, bars=None, start=None, end=None, marker=name)
    return first


@pytest.mark.parametrize(
    ("name", "bar"),
    [
        ("Hit 3", 3),
        ("hit 3", 3),
        ("Hit 3 · very strong", 3),
        ("Hit 3 - very strong", 3),
        ("Hit 30", 30),
        ("Hit 12", 12),
    ],
)
def test_a_hit_is_named_by_its_number(name: str, bar: int) -> None:
    assert first_bar(NEW, name) == bar


def test_names_of_older_scores_are_understood() -> None:
    assert first_bar(OLD, "Hit 0.95") == 2
    assert first_bar(OLD, "hit 0.97") == 4
    assert first_bar(OLD, "Cut") == 6


@pytest.mark.parametrize("name", ["Hit", "Hit 31", "3", ""])
def test_unknown_or_ambiguous_names_are_refused_with_choices(name: str) -> None:
    with pytest.raises(UsageError, match="Hit 3 · very strong"):
        first_bar(NEW, name)
