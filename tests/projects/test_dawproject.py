"""A DAWproject: valid by the published schema, and read back element by element."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from xml.etree.ElementTree import Element, fromstring

import pytest
import xmlschema
from hypothesis import given, settings
from hypothesis import strategies as st

from cmt_bridge.core.timecode import counting_of
from cmt_bridge.midi.events import END_OF_TRACK, chunk_of, file_of, meta_event
from cmt_bridge.projects.arrangement import Arrangement, Part, arranged, version_of
from cmt_bridge.projects.dawproject import dawproject_bytes
from tests.projects.films import arrangement_of, renamed

SCHEMA = Path(__file__).with_name("schema")
SAMPLE = 1 / 192_000


@pytest.fixture(scope="module")
def schemas() -> dict[str, xmlschema.XMLSchema]:
    return {
        "project.xml": xmlschema.XMLSchema(SCHEMA / "Project.xsd"),
        "metadata.xml": xmlschema.XMLSchema(SCHEMA / "MetaData.xsd"),
    }


def parts(data: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name).decode() for name in archive.namelist()}


def project(arrangement: Arrangement, film: str | None = "clip.mp4") -> Element:
    return fromstring(parts(dawproject_bytes(arrangement, film))["project.xml"])


def one(element: Element, path: str) -> Element:
    (found,) = element.findall(path)
    return found


def number(element: Element, name: str) -> float:
    return float(element.attrib[name])


@pytest.mark.parametrize("edited", [False, True])
@pytest.mark.parametrize("film", [None, "../Film & Ton/clip – <1>.mp4"])
def test_it_is_valid_by_the_published_schema(
    tmp_path: Path, schemas: dict[str, xmlschema.XMLSchema], edited: bool, film: str | None
) -> None:
    files = parts(dawproject_bytes(arrangement_of(tmp_path, edited=edited), film))
    assert files.keys() == schemas.keys()
    for name, text in files.items():
        schemas[name].validate(text)


def test_every_note_is_on_its_beat(tmp_path: Path) -> None:
    arrangement = arrangement_of(tmp_path)
    root = project(arrangement)
    tracks = {track.attrib["id"]: track for track in root.findall("Structure/Track")}
    assert one(root, "Arrangement/Lanes").attrib["timeUnit"] == "beats"
    lanes = root.findall("Arrangement/Lanes/Lanes")[1:]
    for lane, part in zip(lanes, arrangement.version.parts, strict=True):
        track = tracks[lane.attrib["track"]]
        assert track.attrib["name"] == part.name
        assert track.attrib["contentType"] == "notes"
        assert track.attrib["color"] == "#{:02x}{:02x}{:02x}".format(*part.colour)
        assert one(track, "Channel").attrib["destination"] == "master"
        clip = one(lane, "Clips/Clip")
        assert (clip.attrib["name"], number(clip, "time")) == ("take 2", 0)
        assert number(clip, "duration") * 480 == arrangement.end
        check_notes(clip, part, arrangement.division)


def check_notes(clip: Element, part: Part, division: int) -> None:
    notes = [
        (
            number(note, "time") * division,
            (number(note, "time") + number(note, "duration")) * division,
            int(note.attrib["channel"]),
            int(note.attrib["key"]),
            number(note, "vel") * 127,
        )
        for note in clip.iter("Note")
    ]
    assert len(notes) == len(part.notes)
    for found, note in zip(notes, part.notes, strict=True):
        wanted = (note.start, note.end, note.channel, note.pitch, note.velocity)
        assert found == pytest.approx(wanted, abs=1e-5)


def test_what_was_edited_elsewhere_comes_along(tmp_path: Path) -> None:
    arrangement = arrangement_of(tmp_path, edited=True)
    root = project(arrangement)
    clip = one(root.findall("Arrangement/Lanes/Lanes")[1], "Clips/Clip")
    check_notes(clip, arrangement.version.parts[0], 960)
    curves = {}
    for points in clip.iter("Points"):
        target = one(points, "Target").attrib
        key = target["expression"], int(target["channel"]), target.get("controller") or target.get("key")
        curves[key] = [(number(p, "time") * 960, number(p, "value")) for p in points if p.tag != "Target"]
    assert curves == {
        ("programChange", 2, None): [(0, 0x51)],
        ("channelController", 2, "11"): [(pytest.approx(5), pytest.approx(0x40 / 127))],
        ("pitchBend", 2, None): [(pytest.approx(100), pytest.approx((0x12 | 0x43 << 7) / 16383))],
        ("channelPressure", 2, None): [(pytest.approx(101), pytest.approx(0x33 / 127))],
        ("polyPressure", 2, "60"): [(pytest.approx(102), pytest.approx(0x11 / 127))],
    }


@pytest.mark.parametrize("edited", [False, True])
def test_tempo_metre_and_markers_are_those_of_the_film(tmp_path: Path, edited: bool) -> None:
    arrangement = arrangement_of(tmp_path, edited=edited)
    root = project(arrangement)
    tempo = one(root, "Transport/Tempo")
    assert one(root, "Arrangement/TempoAutomation/Target").attrib == {"parameter": tempo.attrib["id"]}
    points = root.findall("Arrangement/TempoAutomation/RealPoint")
    assert {point.attrib["interpolation"] for point in points} == {"hold"}
    tempos = [(number(point, "time"), number(point, "value")) for point in points]
    assert tempos[0][1] == number(tempo, "value")

    def seconds(beat: float) -> float:
        passed = 0.0
        for (start, bpm), after in zip(tempos, [*tempos[1:], (float("inf"), 0.0)], strict=True):
            if start < beat:
                passed += (min(beat, after[0]) - start) * 60 / bpm
        return passed

    for tick in range(0, arrangement.end, 97):
        assert seconds(tick / arrangement.division) == pytest.approx(float(arrangement.seconds(tick)), abs=SAMPLE)
    metres = [
        (round(number(p, "time") * arrangement.division), int(p.attrib["numerator"]), int(p.attrib["denominator"]))
        for p in root.findall("Arrangement/TimeSignatureAutomation/TimeSignaturePoint")
    ]
    assert metres == list(arrangement.version.metres)
    marks = [
        (seconds(number(mark, "time")), mark.attrib["name"]) for mark in root.findall("Arrangement/Markers/Marker")
    ]
    wanted = [(mark.seconds, mark.text) for mark in arrangement.markers]
    wanted += [(span.start, span.name) for span in arrangement.sections]
    assert marks == [(pytest.approx(time, abs=SAMPLE), name) for time, name in sorted(wanted)]


def test_the_film_is_a_clip_on_a_video_track(tmp_path: Path) -> None:
    arrangement = arrangement_of(tmp_path)
    root = project(arrangement, "../Film & Ton/clip – 1.mp4")
    track = root.findall("Structure/Track")[0]
    assert track.attrib["contentType"] == "video audio"
    lane = root.findall("Arrangement/Lanes/Lanes")[0]
    assert lane.attrib["track"] == track.attrib["id"]
    clip = one(lane, "Clips/Clip")
    assert number(clip, "duration") * 480 == pytest.approx(float(arrangement.ticks(8.0)), abs=1e-6)
    assert number(one(clip, "Video"), "duration") == 8.0
    assert one(clip, "Video/File").attrib == {"path": "../Film & Ton/clip – 1.mp4", "external": "true"}
    assert not list(project(arrangement, None).iter("Video"))


@pytest.mark.parametrize("offset", [0.0, 2.0021])
def test_the_film_is_played_from_its_first_picture_on(tmp_path: Path, offset: float) -> None:
    clip = one(project(arrangement_of(tmp_path, offset=offset)).findall("Arrangement/Lanes/Lanes")[0], "Clips/Clip")
    assert number(clip, "time") == 0
    assert number(clip, "playStart") == offset
    assert number(clip, "playStop") == pytest.approx(offset + 8.0)


@pytest.mark.parametrize(
    "name", ["Screen 3.15.22\u202fPM.mov", "\U0001f468\u200d\U0001f467 a\xa0b\u3000c.mp4", "a\nb\tc.mp4"]
)
def test_the_videos_path_is_exact(tmp_path: Path, name: str) -> None:
    root = project(arrangement_of(tmp_path), f"Filme/{name}")
    (file,) = root.iter("File")
    assert file.attrib["path"] == f"Filme/{name}"


def test_releases_are_kept_and_zero_length_notes_sound(tmp_path: Path) -> None:
    events = [
        (0, b"\x90\x3c\x40"),
        (0, b"\x90\x40\x40"),
        (10, b"\x80\x3c\x20"),
        (10, b"\x90\x40\x00"),
        (20, b"\x90\x3c\x40"),
        (20, b"\x80\x3c\x00"),
        (30, meta_event(END_OF_TRACK)),
    ]
    path = tmp_path / "edited.mid"
    path.write_bytes(file_of(1, 96, [chunk_of(events)]))
    arrangement = arranged("", [version_of(path, "take 1")], 0, markers=(), duration=1.0, counting=counting_of((0, 1)))
    notes = [
        (int(note.attrib["key"]), round(number(note, "duration") * 96), round(number(note, "rel") * 127, 1))
        for note in project(arrangement, None).iter("Note")
    ]
    assert notes == [(0x3C, 10, 0x20), (0x40, 10, 63.5), (0x3C, 1, 63.5)]


def test_the_same_music_gives_the_same_bytes(tmp_path: Path) -> None:
    arrangement = arrangement_of(tmp_path)
    assert dawproject_bytes(arrangement, "clip.mp4") == dawproject_bytes(arrangement, "clip.mp4")


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Arrangement:
    return arrangement_of(tmp_path_factory.mktemp("music"), takes=1, current=0)


@settings(max_examples=30, deadline=None)
@given(names=st.lists(st.text(max_size=8), min_size=5, max_size=5), film=st.text(min_size=1, max_size=20))
def test_any_name_can_be_written(
    music: Arrangement, schemas: dict[str, xmlschema.XMLSchema], names: list[str], film: str
) -> None:
    files = parts(dawproject_bytes(renamed(music, names), film))
    schemas["project.xml"].validate(files["project.xml"])
