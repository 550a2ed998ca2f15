from dataclasses import replace

import pytest

from cmt_bridge.composition.plan import (
    DENSITY_THRESHOLDS,
    STILL_DENSITY,
    at_tempo,
    density_class,
    plan,
    strength_class,
)
from cmt_bridge.core.metadata import VideoMetadata, VideoSource, VisualBeat

METADATA = VideoMetadata(
    source=VideoSource("clip.mp4", "", 640, 360, 0, (25, 1), 100),
    duration=8.0,
    tempo=120.0,
    tempo_source="estimated",
    beats=(),
    cuts=(),
    flow_per_bar=(0.0, 0.05, 0.6, 9.0),
)


def test_classes_count_thresholds() -> None:
    assert [density_class(value) for value in (0.0, 0.008169, 0.0204, 2.9)] == [0, 1, 2, 16]
    assert [strength_class(weight) for weight in (0.0, 0.3, 0.9, 1.0)] == [1, 2, 5, 10]
    assert len(DENSITY_THRESHOLDS) == 16


def test_motion_becomes_density_and_calm_bars_have_music() -> None:
    assert plan(METADATA).density == (1, 4, 9, 16)


def test_a_still_picture_has_music() -> None:
    assert plan(replace(METADATA, flow_per_bar=(0.0, 0.0))).density == (STILL_DENSITY,) * 4


def test_bars_cover_the_video() -> None:
    assert plan(replace(METADATA, duration=8.2)).bars == 5
    assert plan(replace(METADATA, duration=8.02)).bars == 4  # less than half a sixteenth over the bar line
    assert plan(replace(METADATA, duration=0.3)).bars == 1


def test_the_strongest_visual_beat_of_a_tick_stays() -> None:
    beats = (VisualBeat(0.26, 0.3), VisualBeat(0.24, 0.9), VisualBeat(1.0, 1.0), VisualBeat(7.99, 0.9))
    control = plan(replace(METADATA, beats=beats))
    assert [(beat.tick, beat.strength) for beat in control.beats] == [(2, 5), (8, 10)]  # the last lies past the end


def test_a_bar_has_room_for_its_visual_beats() -> None:
    beats = tuple(VisualBeat(tick / 8, 0.5) for tick in (0, 3, 7))
    assert plan(replace(METADATA, beats=beats)).density[0] == 3


def test_another_tempo_keeps_the_motion_where_it_is() -> None:
    slower = at_tempo(METADATA, 60.0)  # bars of 4 s instead of 2
    assert slower.tempo == 60.0
    assert slower.flow_per_bar == pytest.approx((0.025, 4.8))
    assert at_tempo(slower, 120.0).flow_per_bar == pytest.approx((0.025, 0.025, 4.8, 4.8))
    odd = at_tempo(METADATA, 90.0)
    assert len(odd.flow_per_bar) == 3
    lengths = (240 / 90, 240 / 90, 8.0 - 2 * 240 / 90)
    total = sum(flow * length for flow, length in zip(odd.flow_per_bar, lengths, strict=True))
    assert total == pytest.approx(2 * sum(METADATA.flow_per_bar))
