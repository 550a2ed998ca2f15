from cmt_bridge.core.form import NEW, PHRASE, returns, sections


def test_sections_begin_where_motion_changes() -> None:
    assert sections([2] * 6 + [12] * 6) == [(0, "A (calm)"), (6, "B (lively)")]
    assert sections([6] * 20) == [(0, "A (moving)")]
    assert sections([6]) == [(0, "A (moving)")]


def test_phrases_go_a_a_b_a() -> None:
    form = returns(32)
    assert form[:4] == [None] * 4
    assert form[4:8] == [4] * 4  # A again
    assert form[8:12] == [NEW] * 4
    assert form[12:16] == [8] * 4  # A, over B
    assert form[16:24] == [4] * 8
    assert form[24:28] == [16] * 4  # the first B
    assert form[28:] == [8] * 4


def test_a_return_reaches_the_same_letter() -> None:
    letters = ["AABA"[bar // PHRASE % 4] for bar in range(160)]
    for bar, back in enumerate(returns(160)):
        if back:
            assert letters[bar - back] == letters[bar]
        else:
            assert letters[bar] not in letters[: max(0, bar - PHRASE)]


def test_a_round_cut_short_stays_with_a() -> None:
    assert returns(15) == [None] * 4 + [4] * 11
    assert returns(23) == returns(16) + [4] * 7


def test_every_bar_has_its_place_however_short_the_piece() -> None:
    for bars in range(1, 40):
        assert len(returns(bars)) == bars
