from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote_to_bytes

import opentimelineio as otio
import pytest

from cmt_bridge.core.score import Marker
from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.errors import InputError
from cmt_bridge.projects.hits import hits_csv, hits_edl
from cmt_bridge.projects.timeline import timeline_text
from tests.projects.films import MARKERS, arrangement_of

ORDERED = sorted(MARKERS)


def test_the_table_has_every_hit_with_its_time_and_place(tmp_path: Path) -> None:
    arrangement = arrangement_of(tmp_path, tempos=TempoMap.constant(120), frame_rate=(25, 1), start="01:00:00")
    rows = list(csv.DictReader(io.StringIO(hits_csv(arrangement))))
    assert [row["name"] for row in rows] == [mark.text for mark in ORDERED]
    assert [row["kind"] for row in rows] == [mark.kind for mark in ORDERED]
    assert [float(row["seconds"]) for row in rows] == pytest.approx([mark.seconds for mark in ORDERED], abs=1e-6)
    cut = rows[1]
    assert (cut["timecode"], cut["frame"]) == ("01:00:01:06", "31")
    assert (cut["bar"], cut["beat"], cut["tick"]) == ("1", "3", "241")  # 1.2512 s at 120 BPM is 2.5024 quarters
    last = rows[-1]
    assert (last["bar"], last["beat"], last["tick"]) == ("4", "1", "19")


def test_bars_are_counted_by_the_metres_of_the_session(tmp_path: Path) -> None:
    arrangement = arrangement_of(tmp_path, edited=True)
    rows = list(csv.DictReader(io.StringIO(hits_csv(arrangement))))
    ticks = [round(arrangement.ticks(mark.seconds)) for mark in ORDERED]
    for row, tick in zip(rows, ticks, strict=True):
        if tick < 2880:  # one bar of 3/4, then 7/8
            assert (int(row["bar"]), int(row["beat"])) == (1, tick // 960 + 1)
        else:
            bar, rest = divmod(tick - 2880, 7 * 480)
            assert (int(row["bar"]), int(row["beat"]), int(row["tick"])) == (bar + 2, rest // 480 + 1, rest % 480)


def test_without_a_frame_rate_seconds_are_used(tmp_path: Path) -> None:
    arrangement = arrangement_of(tmp_path, frame_rate=(0, 1))
    rows = list(csv.DictReader(io.StringIO(hits_csv(arrangement))))
    assert {(row["timecode"], row["frame"]) for row in rows} == {("", "")}
    with pytest.raises(InputError, match="frame rate of Der Film is not known"):
        hits_edl(arrangement, None)


EVENT = re.compile(r"(\d{3})  AX +V +C +([\d:;]{11}) ([\d:;]{11}) ([\d:;]{11}) ([\d:;]{11})")


@pytest.mark.parametrize("rate", [(24000, 1001), (25, 1), (30000, 1001), (60, 1)])
def test_the_list_has_every_shot_and_every_hit(tmp_path: Path, rate: tuple[int, int]) -> None:
    arrangement = arrangement_of(tmp_path, frame_rate=rate, start="01:00:00")
    text = hits_edl(arrangement, "films/clip – 1.mp4")
    dropping = rate == (30000, 1001)
    assert f"FCM: {'' if dropping else 'NON-'}DROP FRAME\n" in text
    speed = rate[0] / rate[1]

    def frame(label: str) -> int:
        assert (";" in label) == dropping
        return otio.opentime.from_timecode(label, speed).to_frames()

    shots = [tuple(map(frame, found[1:])) for found in EVENT.findall(text)]
    cuts = [round(mark.seconds * speed) for mark in ORDERED if mark.kind == "cut"]
    hour = frame("01:00:00;00" if dropping else "01:00:00:00")
    bounds = [0, *cuts, round(8 * speed)]
    assert shots == [(a, b, hour + a, hour + b) for a, b in pairwise(bounds)]
    locators = re.findall(r"^\* LOC: (\d\d:\d\d:\d\d:\d\d) (\w+) +(.*)$", text, re.MULTILINE)  # as OTIO reads them
    mark = ";" if dropping else ":"
    assert [(frame(f"{label[:8]}{mark}{label[9:]}") - hour, name) for label, _, name in locators] == [
        (round(mark.seconds * speed), mark.text) for mark in ORDERED
    ]
    assert text.count("* FROM CLIP NAME: clip – 1.mp4") == len(shots)


@pytest.mark.parametrize(
    ("rate", "counted"), [((120, 1), 60), ((240, 1), 60), ((120000, 1001), 60000 / 1001), ((100, 1), 50)]
)
def test_faster_films_are_counted_in_frames_of_two_digits(
    tmp_path: Path, rate: tuple[int, int], counted: float
) -> None:
    arrangement = arrangement_of(tmp_path, frame_rate=rate)
    cuts = [mark.seconds for mark in ORDERED if mark.kind == "cut"]
    labels = [(found[3], found[4]) for found in EVENT.findall(hits_edl(arrangement, None))]
    bounds = [0, *(round(cut * counted) for cut in cuts), round(8 * counted)]
    assert [
        tuple(otio.opentime.from_timecode(label, counted).to_frames() for label in pair) for pair in labels
    ] == list(pairwise(bounds))
    rows = [row for row in csv.DictReader(io.StringIO(hits_csv(arrangement))) if row["kind"] == "cut"]
    assert [row["timecode"] for row in rows] == [first for first, _ in labels[1:]]
    assert [int(row["frame"]) for row in rows] == [round(cut * rate[0] / rate[1]) for cut in cuts]


@pytest.mark.parametrize(
    "name", ["Screen 3.15.22\u202fPM.mov", "\U0001f468\u200d\U0001f467.mp4", "a\nb\u2028c\x85d\udce9.mp4"]
)
def test_an_edl_line_names_the_file_where_it_fits(tmp_path: Path, name: str) -> None:
    lines = hits_edl(arrangement_of(tmp_path), f"Filme/{name}").splitlines()
    broken = "a b c d .mp4"
    wanted = f"* FROM CLIP NAME: {broken if name.startswith('a') else name}"
    assert [line for line in lines if line.startswith("* FROM")] == [wanted] * 3
    assert all(re.match(r"TITLE: |FCM: |\d{3}  |\* |$", line) for line in lines)
    "\n".join(lines).encode()


def test_sources_count_from_file_and_records_from_picture(tmp_path: Path) -> None:
    arrangement = arrangement_of(tmp_path, frame_rate=(25, 1), offset=2.0)
    (_, first, last, begin, _), *others = (found for found in EVENT.findall(hits_edl(arrangement, "clip.mp4")))
    assert (first, last, begin) == ("00:00:02:00", "00:00:03:06", "00:00:00:00")
    assert others[-1][2] == "00:00:10:00"
    for row in csv.DictReader(io.StringIO(hits_csv(arrangement))):
        assert float(row["file_seconds"]) == pytest.approx(float(row["seconds"]) + 2.0, abs=1e-5)
    timeline = otio.adapters.read_from_string(timeline_text(arrangement, "clip.mp4"), "otio_json")
    shots = list(timeline.tracks[0])
    assert [shot.source_range.start_time.to_seconds() for shot in shots] == pytest.approx([2.0, 3.24, 8.0])
    assert shots[0].range_in_parent().start_time.to_seconds() == 0.0
    for shot in shots:
        available = shot.media_reference.available_range
        assert available.start_time <= shot.source_range.start_time
        assert shot.source_range.end_time_exclusive() <= available.end_time_exclusive()
        assert available.end_time_exclusive().to_seconds() == pytest.approx(10.0)


@pytest.mark.parametrize("rate", [(24000, 1001), (25, 1), (30000, 1001), (0, 1)])
def test_a_timeline_is_read_by_opentimelineio(tmp_path: Path, rate: tuple[int, int]) -> None:
    arrangement = arrangement_of(tmp_path, frame_rate=rate, start="01:00:00")
    timeline = otio.adapters.read_from_string(timeline_text(arrangement, "Film & Ton/clip – 1.mp4"), "otio_json")
    assert timeline.name == "Der Film"
    speed = rate[0] / rate[1] or 1000.0
    assert timeline.global_start_time.rate == pytest.approx(speed)
    assert timeline.global_start_time.to_seconds() == pytest.approx(3600, abs=4 if speed % 1 else 0.001)
    (track,) = timeline.tracks
    assert track.kind == otio.schema.TrackKind.Video
    cuts = [round(mark.seconds * speed) for mark in ORDERED if mark.kind == "cut"]
    starts = [clip.range_in_parent().start_time.to_frames() for clip in track]
    assert starts == [0, *cuts]
    assert track.duration().to_frames() == round(8 * speed)
    assert {clip.media_reference.target_url for clip in track} == {"Film%20%26%20Ton/clip%20%E2%80%93%201.mp4"}
    marks = [(mark.name, mark.marked_range.start_time.to_frames()) for mark in timeline.tracks.markers]
    assert marks == [(mark.text, round(mark.seconds * speed)) for mark in ORDERED]
    section = timeline.tracks.markers[0]
    assert section.marked_range.duration.to_seconds() == pytest.approx(3.3333, abs=1 / speed)
    assert {mark.color for mark in timeline.tracks.markers} == {"CYAN", "RED", "YELLOW"}


def test_a_timeline_names_a_file_whose_name_is_no_text(tmp_path: Path) -> None:
    name = "G\udce9ige.mp4"  # as Python gives the bytes of a name that is not UTF-8
    text = timeline_text(arrangement_of(tmp_path), name).encode()
    timeline = otio.adapters.read_from_string(text.decode(), "otio_json")
    assert {unquote_to_bytes(clip.media_reference.target_url) for clip in timeline.tracks[0]} == {b"G\xe9ige.mp4"}


def test_a_timeline_without_the_film_says_that_it_is_missing(tmp_path: Path) -> None:
    text = timeline_text(arrangement_of(tmp_path), None)
    timeline = otio.adapters.read_from_string(text, "otio_json")
    assert all(clip.media_reference.is_missing_reference for clip in timeline.tracks[0])


def test_sources_are_labelled_as_the_film_counts_itself(tmp_path: Path) -> None:
    arrangement = arrangement_of(tmp_path, frame_rate=(25, 1), own="10:20:30:12", start="01:00:00:05")
    events = EVENT.findall(hits_edl(arrangement, "clip.mp4"))
    assert events[0][1:] == ("10:20:30:12", "10:20:31:18", "01:00:00:05", "01:00:01:11")
    rows = list(csv.DictReader(io.StringIO(hits_csv(arrangement))))
    assert [(row["timecode"], row["source"], row["frame"]) for row in rows[:2]] == [
        ("01:00:00:05", "10:20:30:12", "0"),
        ("01:00:01:11", "10:20:31:18", "31"),
    ]
    timeline = otio.adapters.read_from_string(timeline_text(arrangement, "clip.mp4"), "otio_json")
    first, second, *_ = timeline.find_clips()
    assert otio.opentime.to_timecode(timeline.global_start_time, 25) == "01:00:00:05"
    assert otio.opentime.to_timecode(first.media_reference.available_range.start_time, 25) == "10:20:30:12"
    assert first.media_reference.available_range.duration.to_frames() == 200
    assert otio.opentime.to_timecode(second.source_range.start_time, 25) == "10:20:31:18"


def test_a_film_that_begins_in_drop_frame_begins_so_everywhere(tmp_path: Path) -> None:
    arrangement = arrangement_of(tmp_path, frame_rate=(30000, 1001), own="14:22:07;18")
    text = hits_edl(arrangement, "clip.mp4")
    assert "FCM: DROP FRAME" in text
    assert EVENT.findall(text)[0][1:] == ("14:22:07;18", "14:22:08;25", "14:22:07;18", "14:22:08;25")
    assert "* LOC: 14:22:07:18 CYAN    Section A (calm)" in text
    timeline = otio.adapters.read_from_string(timeline_text(arrangement, "clip.mp4"), "otio_json")
    assert timeline.global_start_time.value == 1_550_276
    assert next(iter(timeline.find_clips())).source_range.start_time.value == 1_550_276


def test_film_and_session_may_count_differently(tmp_path: Path) -> None:
    arrangement = arrangement_of(tmp_path, frame_rate=(30000, 1001), own="14:22:07;18", start="01:00:00:00")
    text = hits_edl(arrangement, "clip.mp4")
    assert EVENT.findall(text)[0][1:] == ("14:22:07;18", "14:22:08;25", "01:00:00:00", "01:00:01:07")
    assert "FCM: NON-DROP FRAME" in text


def test_a_late_picture_has_its_label_at_its_start(tmp_path: Path) -> None:
    arrangement = arrangement_of(tmp_path, frame_rate=(25, 1), own="10:00:02:00", offset=2.0)
    timeline = otio.adapters.read_from_string(timeline_text(arrangement, "clip.mp4"), "otio_json")
    first = next(iter(timeline.find_clips()))
    assert otio.opentime.to_timecode(first.source_range.start_time, 25) == "10:00:02:00"
    assert otio.opentime.to_timecode(first.media_reference.available_range.start_time, 25) == "10:00:00:00"


def test_names_in_the_list_are_ascii(tmp_path: Path) -> None:
    arrangement = replace(arrangement_of(tmp_path), markers=(Marker(1.0, "beat", "Hit 3 · strong"),))
    assert re.search(r"\* LOC: 00:00:01:00 YELLOW  Hit 3 - strong$", hits_edl(arrangement, None), re.MULTILINE)
    assert "Hit 3 · strong" in hits_csv(arrangement)
    assert "Hit 3 · strong" in timeline_text(arrangement, None)
