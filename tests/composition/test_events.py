import numpy as np

from cmt_bridge.composition.codec import GridNotes
from cmt_bridge.composition.events import encode_events, next_hits
from cmt_bridge.core.events import BAR_LINE, FIELD_CLASSES, SAME, Field, duration_class, players_mask, velocity_class
from cmt_bridge.core.tokens import DURATIONS

# Onset, instrument, pitch, duration, velocity: drums and a piano third on the first tick, bass on the fifth; then a
# silent bar; then strings for four bars.
NOTES: GridNotes = np.array(
    [[0, 1, 36, 1, 100], [0, 2, 60, 4, 64], [0, 2, 64, 4, 70], [4, 4, 33, 16, 80], [32, 5, 72, 64, 9]], np.int64
)


def test_a_bar_or_a_note_is_one_event() -> None:
    rows = encode_events(NOTES, 3)
    said = [Field.PLACE, Field.DENSITY, Field.INSTRUMENT, Field.STRENGTH, Field.PITCH, Field.DURATION, Field.VELOCITY]
    assert rows[:, said].tolist() == [
        [BAR_LINE, 3, 0, 0, 0, 0, 0],  # two simu-note ticks, counted from 1
        [1, 0, 1, 1, 37, 2, 13],
        [1, 0, 2, 2, 61, 5, 9],
        [SAME, 0, 2, 2, 65, 5, 9],  # the third belongs to the same simu-note
        [5, 0, 4, 1, 34, 17, 11],
        [BAR_LINE, 1, 0, 0, 0, 0, 0],
        [BAR_LINE, 2, 0, 0, 0, 0, 0],
        [1, 0, 5, 1, 73, 22, 2],
    ]
    assert rows[:, Field.POSITION].tolist() == [0, 0, 0, 0, 4, 16, 32, 32]
    assert rows[:, Field.TICK].tolist() == [0, 1, 1, 1, 5, 0, 0, 1]
    assert rows[:, Field.OWED_TICKS].tolist() == [2, 1, 1, 1, 0, 0, 1, 0]
    assert rows[:, Field.OWED_NOTES].tolist() == [0, 0, 1, 0, 0, 0, 0, 0]


def test_every_event_is_within_its_classes() -> None:
    rows = encode_events(NOTES, 3)
    for field, classes in FIELD_CLASSES.items():
        assert rows[:, field].max() < classes


def test_silence_is_bars_alone() -> None:
    assert encode_events(NOTES[:0], 2)[:, Field.PLACE].tolist() == [BAR_LINE, BAR_LINE]


def test_durations_are_exact_up_to_a_bar_and_nearest_beyond() -> None:
    ticks = [DURATIONS[c - 1] for c in duration_class(np.arange(1, 17))]
    assert ticks == list(range(1, 17))
    assert [DURATIONS[c - 1] for c in duration_class([17, 19, 21, 29, 41, 57, 900])] == [16, 20, 20, 32, 48, 64, 64]


def test_velocities_come_in_steps_of_eight() -> None:
    assert velocity_class([0, 7, 8, 127]).tolist() == [1, 1, 2, 16]


def test_players_are_a_set() -> None:
    assert players_mask([1]) == 2
    assert players_mask([2, 2, 1]) == 4
    assert players_mask([1, 2, 3, 4, 5]) == 32 == FIELD_CLASSES[Field.PLAYERS] - 1


def test_hits_are_seen_until_they_are_past() -> None:
    rows = encode_events(NOTES, 3)
    hits = np.zeros(48, np.int64)
    hits[[4, 20, 32]] = (3, 1, 30)
    next_hits(rows, hits)
    assert rows[:, Field.HIT_IN].tolist() == [5, 5, 5, 5, 1, 5, 1, 1]
    assert rows[:, Field.HIT_STRENGTH].tolist() == [3, 3, 3, 3, 3, 1, 19, 19]
