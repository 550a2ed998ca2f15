import numpy as np

from cmt_bridge.composition.codec import GridNotes
from cmt_bridge.composition.conditioning import add_conditioning
from cmt_bridge.composition.events import encode_events
from cmt_bridge.core.control import ControlBeat, ControlTrack
from cmt_bridge.core.events import BAR_LINE, EventRows, Field
from cmt_bridge.core.options import ComposeOptions
from cmt_bridge.core.tempo import TempoMap

BARS = 8
CONTROL = ControlTrack(
    TempoMap.constant(120),
    (2, 3, 2, 2, 2, 2, 2, 2),
    (ControlBeat(4, 2), ControlBeat(8, 3), ControlBeat(36, 1)),
    BARS * 16,
)
# The first bar does all that is asked, but for a third note on tick 8; the third has a beat on tick 4 and no density.
NOTES: GridNotes = np.array(
    [[0, 4, 40, 4, 80], [4, 2, 60, 4, 80], [4, 2, 64, 4, 80], [16, 1, 36, 1, 80], [36, 1, 36, 1, 80]], np.int64
)
FULL = ComposeOptions(density_control=(1.0,), beat_control=(1.0,))


def cued(options: ComposeOptions) -> EventRows:
    rows = encode_events(NOTES, BARS)
    add_conditioning(rows, NOTES, CONTROL, options)
    return rows


def lines(rows: EventRows, field: Field) -> list[int]:
    return rows[rows[:, Field.PLACE] == BAR_LINE, field].tolist()


def test_bars_follow_where_they_do_what_the_picture_asks() -> None:
    assert lines(cued(FULL), Field.FOLLOWS) == [1, 0, 1, 0, 0, 0, 0, 0]
    density = ComposeOptions(density_control=(1.0,), beat_control=(0.0,))
    assert lines(cued(density), Field.FOLLOWS) == [1, 0, 0, 0, 0, 0, 0, 0]
    free = cued(ComposeOptions(density_control=(0.0,), beat_control=(0.0,)))
    assert not free[:, [Field.FOLLOWS, Field.HIT_IN, Field.BARS_BACK]].any()


def test_visual_beats_that_sound_are_told_ahead() -> None:
    rows = cued(FULL)
    first = rows[rows[:, Field.POSITION] < 16]
    assert first[:, Field.HIT_IN].tolist() == [5, 5, 1, 1]
    assert first[:, Field.HIT_STRENGTH].tolist() == [2, 2, 2, 2]
    assert lines(rows, Field.HIT_IN) == [5, 0, 5, 0, 0, 0, 0, 0]


def test_form_and_time_are_those_of_the_piece() -> None:
    rows = cued(FULL)
    assert lines(rows, Field.BARS_BACK) == [0] * 4 + [5] * 4
    assert lines(cued(ComposeOptions(recall=0.0)), Field.BARS_BACK) == [0] * 8
    assert lines(rows, Field.TIMING) == [1, 13, 26, 39, 51, 63, 76, 89]
