"""A REAPER project, read back by a parser that is not ours."""

from __future__ import annotations

import re
import unicodedata
from base64 import b64decode
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import rpp
from hypothesis import given, settings
from hypothesis import strategies as st

from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.core.timecode import counting_of
from cmt_bridge.errors import InputError
from cmt_bridge.midi.events import END_OF_TRACK, chunk_of, file_of, meta_event, number_bytes
from cmt_bridge.outputs.midi import midi_bytes
from cmt_bridge.projects.arrangement import Arrangement, Part, Version, arranged, version_of
from cmt_bridge.projects.reaper import added, reaper_text
from tests.projects.films import MARKERS, arrangement_of, renamed, score_of

SAMPLE = 1 / 192_000
MARKS = "\"'`"


def blocks(element: Any, tag: str) -> list[Any]:
    return [each for each in element if isinstance(each, rpp.Element) and each.tag == tag]


def words(element: Any, name: str) -> list[list[str]]:
    return [each[1:] for each in element if isinstance(each, list) and each[0] == name]


def word(element: Any, name: str) -> str:
    (found,) = words(element, name)
    return str(found[0])


def read(text: str) -> Any:
    project = rpp.loads(text.replace("\r\n", "\n").rstrip() + "\n")
    assert project.tag == "REAPER_PROJECT"
    return project


class Takes:
    """An item, take by take, as REAPER reads it: a take begins where one is named."""

    def __init__(self, item: Any) -> None:
        self.position, self.length = (float(word(item, name)) for name in ("POSITION", "LENGTH"))
        self.takes: list[tuple[str, Any]] = []
        self.active = 0
        for each in item:
            if isinstance(each, list) and each[0] == "NAME":
                self.takes.append((each[1], None))
            elif isinstance(each, list) and each[0] == "TAKE" and each[1:] == ["SEL"]:
                self.active = len(self.takes)
            elif isinstance(each, rpp.Element) and each.tag == "SOURCE":
                self.takes[-1] = self.takes[-1][0], each

    def events(self, number: int) -> Iterator[tuple[int, bytes]]:
        """Give the ticks and messages of a take."""
        tick = 0
        for each in self.takes[number][1]:
            if isinstance(each, rpp.Element) and each.tag in ("X", "x"):
                assert int(each.attrib[0]) >= 0
                tick += int(each.attrib[0])
                yield tick, b"".join(b64decode(row) for row in each)
            elif isinstance(each, list) and each[0] in ("E", "e"):
                assert int(each[1]) >= 0
                tick += int(each[1])
                yield tick, bytes.fromhex("".join(each[2:]))


def wire(part: Part) -> list[tuple[int, bytes]]:
    """Give the messages of a part as REAPER states them."""
    return [
        (tick, message[:1] + message[2:] if message[0] == 0xF0 else message.ljust(3, b"\0"))
        for tick, message in part.events
    ]


def notes(events: list[tuple[int, bytes]]) -> list[tuple[int, int, int, int, int]]:
    sounding: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    found = []
    for tick, message in events:
        key = message[0] & 0xF, message[1]
        if message[0] & 0xF0 == 0x90 and message[2]:
            sounding[key].append((tick, message[2]))
        elif message[0] & 0xE0 == 0x80:
            start, velocity = sounding[key].pop(0)
            found.append((start, tick, *key, velocity))
    assert not any(sounding.values())
    return sorted(found)


def written(part: Part) -> list[tuple[int, int, int, int, int]]:
    return [(n.start, n.end, n.channel, n.pitch, n.velocity) for n in part.notes]


def colour_of(number: str) -> tuple[int, int, int]:
    """Give red, green and blue of a colour, which has red in its lowest byte."""
    assert int(number) >> 24 == 1
    return int(number) & 0xFF, int(number) >> 8 & 0xFF, int(number) >> 16 & 0xFF


def seconds_at(project: Any, quarters: float) -> float:
    """Give when a number of quarters has passed, by the tempo envelope, which is square."""
    (envelope,) = blocks(project, "TEMPOENVEX")
    points = [(float(point[0]), float(point[1])) for point in words(envelope, "PT")]
    assert all(point[2] == "1" for point in words(envelope, "PT"))
    passed = 0.0
    for (time, bpm), after in zip(points, [*points[1:], (float("inf"), 0.0)], strict=True):
        length = (after[0] - time) * bpm / 60
        if passed + length > quarters:
            return time + (quarters - passed) * 60 / bpm
        passed += length
    raise AssertionError


@pytest.mark.parametrize("edited", [False, True])
def test_every_event_of_every_take_is_there(tmp_path: Path, edited: bool) -> None:
    arrangement = arrangement_of(tmp_path, edited=edited)
    project = read(reaper_text(arrangement, "clip.mp4"))
    _, *tracks = blocks(project, "TRACK")
    assert [word(track, "NAME") for track in tracks] == [part.name for part in arrangement.version.parts]
    for track, part in zip(tracks, arrangement.version.parts, strict=True):
        (item,) = map(Takes, blocks(track, "ITEM"))
        assert item.position == 0
        assert item.length == pytest.approx(float(arrangement.seconds(arrangement.end)), abs=SAMPLE)
        assert [name for name, _ in item.takes] == [version.name for version in arrangement.versions]
        assert item.active == arrangement.current
        of_item, of_takes = (words(blocks(track, "ITEM")[0], name) for name in ("VOLPAN", "TAKEVOLPAN"))
        assert (len(of_item), len(of_takes)) == (1, len(item.takes) - 1)
        for number, version in enumerate(arrangement.versions):
            same = next(each for each in version.parts if each.name == part.name)
            *events, last = item.events(number)
            assert last == (arrangement.end, b"\xb0\x7b\x00")
            assert events == wire(same)
            assert notes(events) == written(same)
            assert word_list(item.takes[number][1], "HASDATA") == ["1", str(version.division), "QN"]


def test_a_take_of_another_tempo_sounds_when_it_did(tmp_path: Path) -> None:
    mine, other = tmp_path / "mine.mid", tmp_path / "other.mid"
    mine.write_bytes(midi_bytes(score_of()))
    other.write_bytes(midi_bytes(score_of(TempoMap.of([(0, 700_000), (20, 450_000)]), 3)))
    versions = [version_of(other, "take 1"), version_of(mine, "take 2")]
    arrangement = arranged("Film", versions, 1, markers=MARKERS, duration=8.0, counting=counting_of((25, 1)), film=None)
    project = read(reaper_text(arrangement, None))
    for track, part in zip(blocks(project, "TRACK"), versions[0].parts, strict=True):
        (item,) = map(Takes, blocks(track, "ITEM"))
        assert [name for name, _ in item.takes] == ["take 1", "take 2"]
        assert item.active == 1
        *events, _ = item.events(0)
        found = [(seconds_at(project, tick / 480), message) for tick, message in events]
        for (tick, message), (seconds, said) in zip(part.events, found, strict=True):
            assert said == message.ljust(3, b"\0")
            assert seconds == pytest.approx(float(versions[0].line.seconds(tick)), abs=0.001)


def word_list(element: Any, name: str) -> list[str]:
    (found,) = words(element, name)
    return found


@pytest.mark.parametrize("edited", [False, True])
def test_bars_markers_and_regions_are_where_the_film_has_them(tmp_path: Path, edited: bool) -> None:
    arrangement = arrangement_of(tmp_path, edited=edited)
    project = read(reaper_text(arrangement, "clip.mp4"))
    for tick in range(0, arrangement.end, arrangement.division // 4):
        there = seconds_at(project, tick / arrangement.division)
        assert there == pytest.approx(float(arrangement.seconds(tick)), abs=SAMPLE)
    (envelope,) = blocks(project, "TEMPOENVEX")
    metres = [(int(p[3]) & 0xFFFF, int(p[3]) >> 16) for p in words(envelope, "PT") if len(p) > 3]
    assert metres == [(numerator, denominator) for _, numerator, denominator in arrangement.version.metres]
    marks = words(project, "MARKER")
    plain = [mark for mark in marks if mark[3] == "0"]
    assert [mark[2] for mark in plain] == [mark.text for mark in arrangement.markers]
    assert [float(mark[1]) for mark in plain] == pytest.approx([mark.seconds for mark in arrangement.markers])
    pairs = [mark for mark in marks if mark[3] == "1"]
    assert [mark[2] for mark in pairs] == [name for span in arrangement.sections for name in (span.name, "")]
    times = [time for span in arrangement.sections for time in (span.start, span.end)]
    assert [float(mark[1]) for mark in pairs] == pytest.approx(times)
    assert [mark[0] for mark in marks if mark[3] == "0"] == ["1", "2", "3"]
    assert [mark[0] for mark in marks if mark[3] == "1"] == ["1", "1", "2", "2"]
    kinds = {mark[4]: colour_of(mark[4]) for mark in marks if len(mark) > 4}
    assert len(kinds) == 3, "cuts, hits and sections differ in colour"
    assert all(mark[6] == "R" for mark in marks if len(mark) > 4)


def test_a_long_piece_does_not_drift(tmp_path: Path) -> None:
    tempos = TempoMap.of([(tick, 400_000 + 7_919 * tick % 300_007) for tick in range(0, 16 * 500, 3)])
    arrangement = arrangement_of(tmp_path, tempos=tempos, takes=1, current=0)
    project = read(reaper_text(arrangement, None))
    assert seconds_at(project, 2000) == pytest.approx(float(tempos.seconds(8000)), abs=SAMPLE)


def test_the_video_has_its_own_track_on_time(tmp_path: Path) -> None:
    arrangement = arrangement_of(tmp_path, start="01:00:00")
    project = read(reaper_text(arrangement, "../Film & Ton/clip – 1.mp4"))
    track = blocks(project, "TRACK")[0]
    assert (word(track, "NAME"), word(track, "BEAT")) == ("Video", "0")
    (item,) = map(Takes, blocks(track, "ITEM"))
    assert (item.position, item.length) == (0, 8)
    ((name, source),) = item.takes
    assert name == "clip – 1.mp4"
    assert source.attrib == ["VIDEO"]
    assert word(source, "FILE") == "../Film & Ton/clip – 1.mp4"
    assert words(project, "VIDEO_CONFIG")[0][:2] == ["1280", "720"]
    assert [word(track, "BEAT") for track in blocks(project, "TRACK")[1:]] == ["1"] * 5
    assert (word(project, "TIMELOCKMODE"), word(project, "TEMPOENVLOCKMODE")) == ("0", "1")
    assert len(blocks(read(reaper_text(arrangement, None)), "TRACK")) == 5


def test_the_film_is_played_from_its_first_picture_on(tmp_path: Path) -> None:
    project = read(reaper_text(arrangement_of(tmp_path, offset=2.0021), "clip.mp4"))
    (item,) = blocks(blocks(project, "TRACK")[0], "ITEM")
    assert (word(item, "POSITION"), word(item, "LENGTH"), word(item, "SOFFS")) == ("0", "8", "2.0021")


@pytest.mark.parametrize(
    ("rate", "wanted", "start"),
    [
        ((24000, 1001), ["24", "2"], 3603.6),
        ((24, 1), ["24", "0"], 3600),
        ((25, 1), ["25", "0"], 3600),
        ((30000, 1001), ["30", "1"], 3599.9964),
        ((2997, 100), ["30", "1"], 3599.9964),
        ((30, 1), ["30", "0"], 3600),
        ((60000, 1001), ["30", "1"], 3599.9964),
        ((48000, 1001), ["24", "2"], 3603.6),
        ((50, 1), ["50", "0"], 3600),
        ((25, 2), ["25", "0"], 3600),
        ((2998, 100), ["30", "1"], 3599.9964),
        ((0, 1), ["30", "0"], 3600),
        ((12, 1), ["24", "0"], 3600),
    ],
)
def test_frames_count_with_the_video_from_an_hour(
    tmp_path: Path, rate: tuple[int, int], wanted: list[str], start: float
) -> None:
    arrangement = arrangement_of(tmp_path, frame_rate=rate, takes=1, current=0, start="01:00:00")
    project = read(reaper_text(arrangement, None))
    assert words(project, "TIMEMODE")[0][3:5] == wanted
    ((offset, *rest),) = words(project, "PROJOFFS")
    assert float(offset) == pytest.approx(start, abs=1e-9)
    assert rest == ["0", "0"]


def test_a_part_missing_from_the_current_take_is_silent(tmp_path: Path) -> None:
    arrangement = arrangement_of(tmp_path)
    first, current, last = arrangement.versions
    versions = (first, without(current, "Guitar"), without(last, "Bass"))
    project = read(reaper_text(replace(arrangement, versions=versions), None))
    there = {word(track, "NAME"): blocks(track, "ITEM")[0] for track in blocks(project, "TRACK")}
    assert list(there) == ["Drums", "Piano", "Bass", "Strings", "Guitar"]
    assert [name for name, _ in Takes(there["Guitar"]).takes] == ["take 1", "take 3"]
    assert [name for name, _ in Takes(there["Bass"]).takes] == ["take 1", "take 2"]
    assert Takes(there["Bass"]).active == 1
    assert {name: word(item, "MUTE") for name, item in there.items()} == dict.fromkeys(there, "0") | {"Guitar": "1"}


def without(version: Version, name: str) -> Version:
    return replace(version, parts=tuple(part for part in version.parts if part.name != name))


def with_events(arrangement: Arrangement, *events: tuple[int, bytes]) -> Arrangement:
    """Give it with one take and one part in it, of these messages in a file."""
    assert arrangement.film is not None
    path = arrangement.film.path.with_name("events.mid")
    end = (max(arrangement.end, events[-1][0]), meta_event(END_OF_TRACK))
    path.write_bytes(file_of(0, arrangement.division, [chunk_of([*events, end])]))
    (part,) = version_of(path, "").parts
    return replace(arrangement, versions=(replace(arrangement.version, parts=(part,)),), current=0)


def sysex(data: bytes, status: int = 0xF0) -> bytes:
    return bytes((status,)) + number_bytes(len(data)) + data


def events_of(text: str) -> list[tuple[int, bytes]]:
    """Give the messages of the only item."""
    (track,) = blocks(read(text), "TRACK")
    (item,) = map(Takes, blocks(track, "ITEM"))
    return list(item.events(0))[:-1]


def test_a_split_system_exclusive_is_joined(tmp_path: Path) -> None:
    dump = bytes(index % 128 for index in range(1_000)) + b"\xf7"
    arrangement = with_events(
        arrangement_of(tmp_path),
        (1, sysex(dump)),
        (2, sysex(b"\x41\x10")),
        (3, b"\x99\x24\x40"),
        (4, sysex(b"\x11", 0xF7)),
        (5, b"\x89\x24\x40"),
        (6, sysex(b"\x12\xf7", 0xF7)),
        (7, sysex(b"\xf3\x01", 0xF7)),  # not of a system exclusive: a song is chosen, which is no music
        (8, sysex(b"\x90", 0xF7)),
        (9, sysex(b"\x42")),
    )
    text = reaper_text(arrangement, None)
    assert events_of(text) == [
        (1, b"\xf0" + dump),
        (2, b"\xf0\x41\x10\x11\x12\xf7"),
        (3, b"\x99\x24\x40"),
        (5, b"\x89\x24\x40"),
        (9, b"\xf0\x42\xf7"),
    ]
    assert max(map(len, text.splitlines())) < 200


def test_what_comes_with_the_very_end_comes_along(tmp_path: Path) -> None:
    arrangement = arrangement_of(tmp_path)
    music = with_events(arrangement, (1, b"\xb9\x07\x40"), (arrangement.end, b"\xb9\x07\x00"))
    assert events_of(reaper_text(music, None))[-1] == (arrangement.end, b"\xb9\x07\x00")
    last = blocks(blocks(read(added(THEIRS, music, None, at=Fraction(0))), "TRACK")[-1], "ITEM")[-1]
    assert [message for _, message in Takes(last).events(0)] == [b"\xb9\x07\x00", b"\xb0\x7b\x00"]


def test_a_note_without_an_end_gets_one(tmp_path: Path) -> None:
    arrangement = with_events(
        arrangement_of(tmp_path), (10, b"\x99\x24\x40"), (20, b"\x99\x26\x40"), (30, b"\x89\x26\x17")
    )
    end = (arrangement.end, b"\x89\x24\x40")
    assert events_of(reaper_text(arrangement, None))[2:] == [(30, b"\x89\x26\x17"), end]


def test_each_track_has_its_colour(tmp_path: Path) -> None:
    arrangement = arrangement_of(tmp_path)
    tracks = blocks(read(reaper_text(arrangement, None)), "TRACK")
    for track, part in zip(tracks, arrangement.version.parts, strict=True):
        assert colour_of(word(track, "PEAKCOL")) == part.colour


def test_equal_music_gives_equal_bytes_and_distinct_ids(tmp_path: Path) -> None:
    arrangement = renamed(arrangement_of(tmp_path), ["Video", "Video 0", "take 1", "Bass", "0"])
    text = reaper_text(arrangement, "clip.mp4")
    assert text == reaper_text(arrangement, "clip.mp4")
    ids = [line.split()[1] for line in text.splitlines() if line.strip().split(" ")[0] in ("GUID", "IGUID", "TRACKID")]
    assert len(set(ids)) == len(ids) > 20


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Arrangement:
    return arrangement_of(tmp_path_factory.mktemp("music"), takes=2)


def said(text: str) -> str:
    """Give what is left of a name in a line of a project."""
    plain = "".join(" " if unicodedata.category(each) in ("Cc", "Zl", "Zp") else each for each in text)
    return plain if any(mark not in plain for mark in MARKS) else plain.replace("`", "'")


LINE = st.text(st.characters(codec="utf-8", exclude_characters="\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"), min_size=1)


@settings(max_examples=60, deadline=None)
@given(
    names=st.lists(st.text(max_size=12) | st.text("\"'` <>|\n", max_size=6), min_size=5, max_size=5, unique=True),
    film=LINE.filter(lambda text: any(mark not in text for mark in MARKS)),
)
def test_any_name_can_be_written_and_is_read_again(music: Arrangement, names: list[str], film: str) -> None:
    spans = tuple(replace(span, name=name) for span, name in zip(music.sections, names, strict=False))
    marks = tuple(replace(mark, text=name) for mark, name in zip(music.markers, names, strict=False))
    changed = replace(renamed(music, names), title=names[0], sections=spans, markers=marks)
    project = read(reaper_text(changed, film))
    video, *tracks = blocks(project, "TRACK")
    assert [word(track, "NAME") for track in tracks] == [said(name) for name in names]
    assert word(Takes(blocks(video, "ITEM")[0]).takes[0][1], "FILE") == film
    rows = words(project, "MARKER")
    assert [mark[2] for mark in rows if mark[3] == "0"] == [said(mark.text) for mark in marks]
    assert [mark[2] for mark in rows if mark[3] == "1"][::2] == [said(span.name) for span in spans]


@pytest.mark.parametrize(
    ("film", "wanted"),
    [
        ("Familie 👨‍👩‍👧\u00a0&  Söhne.mp4", "Familie 👨‍👩‍👧\u00a0&  Söhne.mp4"),
        ("two\nlines.mp4", "two lines.mp4"),
        ("\"all' of`them.mp4", "\"all' of'them.mp4"),
        ("no\udce9name.mp4", "no?name.mp4"),
    ],
)
def test_an_edl_path_is_exact_where_a_line_holds_it(music: Arrangement, film: str, wanted: str) -> None:
    text = reaper_text(music, film)
    text.encode()
    item = Takes(blocks(blocks(read(text), "TRACK")[0], "ITEM")[0])
    assert word(item.takes[0][1], "FILE") == wanted


def test_a_long_name_fits_into_a_line(music: Arrangement) -> None:
    text = reaper_text(renamed(music, ["日" * 5_000, *"abcd"]), None)
    assert max(len(line.encode()) for line in text.splitlines()) < 4_096


THEIRS = """<REAPER_PROJECT 0.1 "7.22/linux-x86_64" 1700000000
  RIPPLE 0
  TEMPO 97.5 3 4 0
  <TEMPOENVEX
    ACT 1 -1
    PT 0 97.5 1 262147 0 1
    PT 4.92 120 0
  >
  MARKER 1 2.5 "mine" 0
  MARKER 7 5 "region" 1 0 1 R {AAAAAAAA-1111-4222-8333-BBBBBBBBBBBB} 0
  MARKER 7 9 "" 1
  <TRACK {CCCCCCCC-1111-4222-8333-BBBBBBBBBBBB}
    NAME 'My "best" track'
    <ITEM
      POSITION 1
      <SOURCE MIDI
        HASDATA 1 960 QN
        e 0 90 3c 60
        E 480 80 3c 00
      >
    >
  >
>
"""

BAND = """<REAPER_PROJECT 0.1 "6.80/win64" 1688888888
  <NOTES 0 2
    |> not the end
    |MARKER 99 0 "not a marker"
  >
  RIPPLE 0
  PROJOFFS 0 0 0
  GRID 3199 8 1 8 1 0 0 0
  TIMEMODE 1 5 -1 25 0 0 -1
  <RECORD_CFG
    ZXZhdxgAAA==
  >
  TEMPO 140 4 4
  <TEMPOENVEX
    EGUID {0BD7B3C7-3F0B-4E9C-8E0B-2E9C3B1F7A01}
    ACT 0 -1
    VIS 1 0 1
    LANEHEIGHT 0 0
    ARM 0
    DEFSHAPE 1 -1 -1
  >
  <PROJBAY
  >
  <TRACK {0BD7B3C7-3F0B-4E9C-8E0B-2E9C3B1F7A02}
    NAME Drums
    PEAKCOL 16576
    BEAT -1
    ISBUS 1 1
    <FXCHAIN
      BYPASS 0 0 0
      <VST "VST: ReaComp (Cockos)" reacomp.dll 0 "" 1919247213<5653547265636D726561636F6D700000> ""
        bWNlcu5e7f4EAAAAAQAAAAAAAAACAAAAAAAAAAQAAAAAAAAACAAAAAAAAAACAAAAAQAAAAAAAAACAAAAAAAAAFwAAAAAAAAAAAAQAA==
        AAAQAAAA
      >
      WAK 0 0
    >
  >
  <TRACK {0BD7B3C7-3F0B-4E9C-8E0B-2E9C3B1F7A03}
    NAME "Kick > in"
    ISBUS 2 -1
    <ITEM
      POSITION 0
      LENGTH 4.5
      NAME kick.wav
      <SOURCE WAVE
        FILE "Media\\\\kick.wav"
      >
      TAKE SEL
      NAME "kick 2.wav"
      <SOURCE WAVE
        FILE "Media\\\\kick 2.wav"
      >
    >
  >
  <EXTENSIONS
  >
>
"""

FILM = """<REAPER_PROJECT 0.1 "7.51/macOS-arm64" 1770717587
  RIPPLE 0 0
  TEMPO 120 4 4 0
  MARKER 12 1.5 `it's "here"` 0 0 1 B {0BD7B3C7-3F0B-4E9C-8E0B-2E9C3B1F7B01} 0
  MARKER 3 1.5 Intro 1 0 1 B {0BD7B3C7-3F0B-4E9C-8E0B-2E9C3B1F7B02} 0 1
  MARKER 3 18.85714285714286 "" 1
  <TRACK {0BD7B3C7-3F0B-4E9C-8E0B-2E9C3B1F7B03}
    NAME `'' "`
    <NAME
      |'` "
    >
    <ITEM
      POSITION 0
      <SOURCE VIDEOEFFECT
        <CODE
          |// <b>
          |>
        >
      >
    >
  >
  <EXTSTATE
    <THEIRS
      MARKER 500 1 no
    >
  >
  >

"""

PROJECTS = {"small": THEIRS, "band": BAND, "film": FILM}
HIGHEST = {"small": 7, "band": 0, "film": 12}


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("name", PROJECTS)
def test_what_was_in_a_project_stays_byte_by_byte(music: Arrangement, name: str, line_end: str) -> None:
    before = PROJECTS[name].replace("\n", line_end)
    after = added(before, music, "clip.mp4", at=Fraction(61, 8))
    closing = re.search(r" *>\s*$", before)
    assert closing
    head, tail = before[: closing.start()], before[closing.start() :]
    assert after.startswith(head)
    assert after.endswith(tail)
    new = after[len(head) : -len(tail)]
    assert new.count("\n") == new.count(line_end) > 100
    lines = [line.strip() for line in new.splitlines()]
    assert sum(line.startswith("<") for line in lines) == lines.count(">") > 10
    project = read(after)
    theirs = read(before)
    assert list(project)[: len(list(theirs))] == list(theirs)
    ours = list(project)[len(list(theirs)) :]
    assert [word(track, "NAME") for track in blocks(ours, "TRACK")] == ["Video", *(p.name for p in music.version.parts)]
    marks = words(ours, "MARKER")
    first = HIGHEST[name] + 1
    assert [int(mark[0]) for mark in marks if mark[3] == "0"] == [first, first + 1, first + 2]
    assert [int(mark[0]) for mark in marks if mark[3] == "1"] == [first, first, first + 1, first + 1]
    assert [float(mark[1]) for mark in marks if mark[3] == "0"] == [
        pytest.approx(7.625 + mark.seconds) for mark in music.markers
    ]
    (film,) = map(Takes, blocks(blocks(ours, "TRACK")[0], "ITEM"))
    assert (film.position, film.length) == (7.625, 8)


def test_music_added_twice_has_distinct_ids(music: Arrangement) -> None:
    once = added(THEIRS, music, None, at=Fraction(0))
    assert once == added(THEIRS, music, None, at=Fraction(0))
    twice = added(once, music, None, at=Fraction(0))
    ids = re.findall(r"(?:GUID|IGUID|TRACKID| [RB]) (\{\S+\})", twice)
    assert len(set(ids)) == len(ids) > 40


def test_what_has_one_tempo_is_added_as_one_item(tmp_path: Path) -> None:
    arrangement = arrangement_of(tmp_path, tempos=TempoMap.constant(93))
    project = read(added(THEIRS, arrangement, None, at=Fraction(2)))
    for track, part in zip(blocks(project, "TRACK")[1:], arrangement.version.parts, strict=True):
        (item,) = map(Takes, blocks(track, "ITEM"))
        (notes_on_it,) = blocks(blocks(track, "ITEM")[0], "NOTES")
        what = "percussion" if part.is_drums else f"program {part.program + 1}"
        assert list(notes_on_it) == [f"|General MIDI {what}, channel {part.channel + 1}"]
        assert item.position == 2
        assert [name for name, _ in item.takes] == [version.name for version in arrangement.versions]
        for index, (_, other) in enumerate(arrangement.others(part)):
            assert other
            *events, last = item.events(index)
            assert last == (arrangement.end, b"\xb0\x7b\x00")
            assert events == wire(other)


@pytest.mark.parametrize("edited", [False, True])
def test_added_music_keeps_to_the_video_through_tempo_changes(tmp_path: Path, edited: bool) -> None:
    arrangement = arrangement_of(tmp_path, edited=edited)
    project = read(added(THEIRS, arrangement, "clip.mp4", at=Fraction(61, 8)))
    starts = [tick for tick, _ in arrangement.version.tempos]
    crossing = 0
    for track, part in zip(blocks(project, "TRACK")[2:], arrangement.version.parts, strict=True):
        assert word(track, "BEAT") == "0"
        heard, others = [], []
        items = list(map(Takes, blocks(track, "ITEM")))
        assert [item.position for item in items] == [
            pytest.approx(7.625 + float(arrangement.seconds(tick)), abs=SAMPLE) for tick in starts
        ]
        for item, after in zip(items, [*items[1:], None], strict=True):
            ignoring, bpm, *_ = word_list(item.takes[item.active][1], "IGNTEMPO")
            assert ignoring == "1"
            division = int(word_list(item.takes[item.active][1], "HASDATA")[1])
            tick_seconds = 60 / float(bpm) / division
            assert after is None or item.position + item.length > after.position - SAMPLE
            *events, last = item.events(item.active)
            assert item.length == pytest.approx(last[0] * tick_seconds, abs=SAMPLE)
            for struck, released, *key in notes(events):
                heard.append((item.position + struck * tick_seconds, item.position + released * tick_seconds, *key))
                assert after is None or heard[-1][0] < after.position - SAMPLE
                crossing += after is not None and heard[-1][1] > after.position + SAMPLE
            others += [
                (item.position + tick * tick_seconds, message) for tick, message in events if message[0] & 0xE0 != 0x80
            ]
        times = [7.625 + float(arrangement.seconds(tick)) for tick, _ in wire(part)]
        wanted = [(time, m) for time, (_, m) in zip(times, wire(part), strict=True) if m[0] & 0xE0 != 0x80]
        assert [message for _, message in others] == [message for _, message in wanted]
        assert [time for time, _ in others] == [pytest.approx(time, abs=SAMPLE) for time, _ in wanted]
        assert len(heard) == len(part.notes), "a note that goes on through a change of tempo is struck once"
        for (start, end, *rest), note in zip(sorted(heard), part.notes, strict=True):
            assert start == pytest.approx(7.625 + float(arrangement.seconds(note.start)), abs=SAMPLE)
            assert end == pytest.approx(7.625 + float(arrangement.seconds(note.end)), abs=tick_seconds)
            assert rest == [note.channel, note.pitch, note.velocity]
    assert crossing


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no project",
        "<RPP_PROJECT\n>",
        '<REAPER_PROJECT 0.1 "7" 0\n  TEMPO 120 4 4\n',
        '<REAPER_PROJECT 0.1 "7" 0\n  <TRACK\n  >\n',
    ],
)
def test_what_is_no_project_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match="no complete REAPER project"):
        added(text, arrangement_of(tmp_path, takes=1, current=0), None, at=Fraction(0))
