from __future__ import annotations

import pytest

from cmt_bridge.core.markers import hit_name, is_called, plain


def test_hits_have_numbers_and_words() -> None:
    assert [hit_name(n, strength) for n, strength in ((1, 4), (2, 5), (13, 6), (14, 10))] == [
        "Hit 1 · strong",
        "Hit 2 · strong",
        "Hit 13 · very strong",
        "Hit 14 · very strong",
    ]
    assert plain("Hit 1 · strong") == "Hit 1 - strong"


@pytest.mark.parametrize("said", ["Hit 3", "hit 3", "HIT  3", "Hit 3 · strong", "Hit 3 - strong", "hit 3 strong"])
def test_a_hit_is_meant_by_its_number(said: str) -> None:
    assert is_called("Hit 3 · strong", said)
    assert not is_called("Hit 30 · strong", said)
    assert not is_called("Hit 3 · very strong", said) or "strong" not in said
