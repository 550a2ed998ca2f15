from cmt_bridge.core.form import NEW, PHRASE, returns, sections


def test_sections_begin_where_motion_changes() -> None:
    assert sections([2] * 6 + [12] * 6) == [(0, "A (calm)"), (6, "B (lively)")]
    assert sections([6] * 20) == [(0, "A (moving)")]
    assert sections([6]) == [(0, "A (moving)")]


def test_phrases_go_a_a_b_a() -> None:
    form = returns([6] * 32)
    assert form[:4] == [None] * 4
    assert form[4:8] == [4] * 4  # A again
    assert form[8:12] == [NEW] * 4
    assert form[12:16] == [8] * 4  # A, over B
    assert form[16:24] == [4] * 8
    assert form[24:28] == [16] * 4  # the first B
    assert form[28:] == [8] * 4


def test_a_return_reaches_the_same_letter_of_the_same_section() -> None:
    density = [2] * 21 + [12] * 30
    starts = [start for start, _ in sections(density)]
    assert len(starts) == 2
    letters: list[tuple[int, str]] = []
    for bar, back in enumerate(returns(density)):
        section = sum(start <= bar for start in starts)
        expected = (section, "AABA"[(bar - starts[section - 1]) // PHRASE % 4])
        letters.append(expected)
        if back:
            assert letters[bar - back] == expected
        else:
            assert expected not in letters[: max(0, bar - PHRASE)]


def test_a_new_section_has_a_harmony_of_its_own() -> None:
    form = returns([2] * 6 + [12] * 6)
    assert form == [None] * 4 + [4] * 2 + [NEW] * 4 + [4] * 2


def test_every_bar_has_its_place_however_short_the_piece() -> None:
    for bars in range(1, 40):
        assert len(returns([5] * bars)) == bars
