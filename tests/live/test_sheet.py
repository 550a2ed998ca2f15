from __future__ import annotations

from cmt_bridge.live.sheet import MOST_BARS, Sheet
from tests.live.playing import piece

NOTE = [0, 4, 0, 60, 90]


def test_only_what_has_changed_is_given_again() -> None:
    sheet = Sheet()
    assert sheet.put([(0, [NOTE]), (1, [])]) == [(0, [NOTE]), (1, [])]
    assert sheet.put([(0, [NOTE]), (1, [NOTE])]) == [(1, [NOTE])]
    assert sheet.bars == {0: [NOTE], 1: [NOTE]}


def test_the_velocity_of_an_end_counts_where_both_have_one() -> None:
    sheet = Sheet()
    sheet.put([(0, [NOTE]), (1, [[*NOTE, 30]])])
    assert sheet.put([(0, [[*NOTE, 64]]), (1, [[*NOTE, 31]])]) == [(1, [[*NOTE, 31]])]
    assert sheet.put([(0, [[0, "c005"], NOTE])]) == [(0, [[0, "c005"], NOTE])]
    assert sheet.put([(0, [[0, "c006"], NOTE])]) == [(0, [[0, "c006"], NOTE])]


def test_bars_in_hand_end_at_a_gap() -> None:
    sheet = Sheet()
    sheet.put([(0, []), (1, []), (3, [])])
    assert [sheet.ahead(bar) for bar in range(5)] == [2, 1, 0, 1, 0]
    assert [bar for bar, _ in sheet.before()] == [0, 1]
    assert [bar for bar, _ in sheet.before(1)] == [0]


def test_outdated_bars_count_once_they_come_again() -> None:
    sheet = Sheet()
    sheet.put((bar, []) for bar in range(8))
    sheet.outdate(3)
    sheet.put([(7, [NOTE])])  # was under way
    assert [bar for bar, _ in sheet.before()] == [0, 1, 2]
    sheet.put([(4, [NOTE]), (5, [NOTE])])  # the change came into force a bar later
    assert [bar for bar, _ in sheet.before()] == [0, 1, 2, 3, 4, 5]
    sheet.outdate(2)
    sheet.outdate(6)
    assert [bar for bar, _ in sheet.before()] == [0, 1]
    sheet.outdate(None)
    assert [bar for bar, _ in sheet.before()] == list(range(8))
    assert sheet.ahead(0) == 8


def test_an_endless_piece_keeps_its_last_bars() -> None:
    sheet = Sheet()
    sheet.put((bar, []) for bar in range(MOST_BARS + 10))
    assert [bar for bar, _ in sheet.before()] == list(range(10, MOST_BARS + 10))
    assert sheet.ahead(10) == MOST_BARS


def test_a_score_is_read_bar_by_bar() -> None:
    bars = Sheet.of(piece(2))
    assert [bar for bar, _ in bars] == [0, 1]
    assert [len(notes) for _, notes in bars] == [20, 20]
    assert all(bar * 16 <= note[0] < bar * 16 + 16 for bar, notes in bars for note in notes)
