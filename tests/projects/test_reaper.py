"""A REAPER project, read back by a parser that is not ours."""

from __future__ import annotations

from base64 import b64decode
from collections import defaultdict
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import rpp
from hypothesis import given, settings
from hypothesis import strategies as st

from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.errors import InputError
from cmt_bridge.projects.arrangement import Arrangement, Part
from cmt_bridge.projects.reaper import added, reaper_text
from tests.projects.films import arrangement_of, renamed

SAMPLE = 1 / 192_000


def blocks(element: Any, tag: str) -> list[Any]:
    return [each for each in element if isinstance(each, rpp.Element) and each.tag == tag]


def words(element: Any, name: str) -> list[list[str]]:
    return [each[1:] for each in element if isinstance(each, list) and each[0] == name]


def word(element: Any, name: str) -> str:
    (found,) = words(element, name)
    return str(found[0])


def read(text: str) -> Any:
    project = rpp.loads(text)
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
                tick += int(each.attrib[0])
                yield tick, b64decode("".join(row if isinstance(row, str) else row[0] for row in each))
            elif isinstance(each, list) and each[0] in ("E", "e"):
                tick += int(each[1])
                yield tick, bytes.fromhex("".join(each[2:]))


def wire(part: Part) -> list[tuple[int, bytes]]:
    """Give the messages of a part that are no notes, as REAPER states them."""
    found = []
    for tick, message in part.events:
        if message[0] == 0xF0:
            found.append((tick, message[:1] + message[2:]))
        elif message[0] & 0xE0 != 0x80:
            found.append((tick, message.ljust(3, b"\0")))
    return found


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
def test_every_note_of_every_take_is_there_and_all_that_goes_with_it(tmp_path: Path, edited: bool) -> None:
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
        for number, version in enumerate(arrangement.versions):
            same = next(each for each in version.parts if each.name == part.name)
            *events, last = item.events(number)
            assert last == (arrangement.end, b"\xb0\x7b\x00")
            channel_messages = [(tick, message) for tick, message in events if message[0] < 0xF0]
            assert notes(channel_messages) == written(same)
            assert [each for each in events if each[1][0] & 0xE0 != 0x80] == wire(same)
            assert word_list(item.takes[number][1], "HASDATA") == ["1", str(version.division), "QN"]


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
    plain = [(float(mark[1]), mark[2]) for mark in marks if mark[3] == "0"]
    assert plain == [(pytest.approx(mark.seconds), mark.text) for mark in arrangement.markers]
    ends = {mark[0]: float(mark[1]) for mark in marks if mark[2] == ""}
    regions = [(float(mark[1]), ends[mark[0]], mark[2]) for mark in marks if mark[3] == "1" and mark[2]]
    wanted = [(pytest.approx(s.start), pytest.approx(s.end), s.name) for s in arrangement.sections]
    assert regions == wanted
    assert len({mark[0] for mark in marks}) == len(arrangement.markers) + len(arrangement.sections)


def test_a_long_piece_does_not_drift(tmp_path: Path) -> None:
    tempos = TempoMap.of([(tick, 400_000 + 7_919 * tick % 300_007) for tick in range(0, 16 * 500, 3)])
    arrangement = arrangement_of(tmp_path, tempos=tempos, takes=1, current=0)
    project = read(reaper_text(arrangement, None))
    assert seconds_at(project, 2000) == pytest.approx(float(tempos.seconds(8000)), abs=SAMPLE)


def test_the_film_is_on_a_track_of_its_own_on_time(tmp_path: Path) -> None:
    arrangement = arrangement_of(tmp_path, start=3600)
    project = read(reaper_text(arrangement, "../Film & Ton/clip – 1.mp4"))
    track = blocks(project, "TRACK")[0]
    assert (word(track, "NAME"), word(track, "BEAT")) == ("Video", "0")
    (item,) = map(Takes, blocks(track, "ITEM"))
    assert (item.position, item.length) == (0, 8)
    ((name, source),) = item.takes
    assert name == "clip – 1.mp4"
    assert source.attrib == ["VIDEO"]
    assert word(source, "FILE") == "../Film & Ton/clip – 1.mp4"
    assert words(project, "PROJOFFS") == [["3600", "0", "0"]]
    assert words(project, "VIDEO_CONFIG")[0][:2] == ["1280", "720"]
    assert [word(track, "BEAT") for track in blocks(project, "TRACK")[1:]] == ["1"] * 5
    assert len(blocks(read(reaper_text(arrangement, None)), "TRACK")) == 5


@pytest.mark.parametrize(
    ("rate", "wanted"),
    [
        ((24000, 1001), ["24", "2"]),
        ((24, 1), ["24", "0"]),
        ((25, 1), ["25", "0"]),
        ((30000, 1001), ["30", "1"]),
        ((2997, 100), ["30", "1"]),
        ((30, 1), ["30", "0"]),
        ((60000, 1001), ["60", "2"]),
        ((0, 1), ["30", "0"]),
        ((12, 1), ["12", "0"]),
    ],
)
def test_frames_are_counted_as_the_film_does(tmp_path: Path, rate: tuple[int, int], wanted: list[str]) -> None:
    project = read(reaper_text(arrangement_of(tmp_path, frame_rate=rate, takes=1, current=0), None))
    assert words(project, "TIMEMODE")[0][3:5] == wanted


def test_each_track_has_its_colour(tmp_path: Path) -> None:
    arrangement = arrangement_of(tmp_path)
    tracks = blocks(read(reaper_text(arrangement, None)), "TRACK")
    for track, part in zip(tracks, arrangement.version.parts, strict=True):
        number = int(word(track, "PEAKCOL"))
        assert number >> 24 == 1
        assert (number & 0xFF, number >> 8 & 0xFF, number >> 16 & 0xFF) == part.colour


def test_the_same_music_gives_the_same_bytes_and_every_id_is_another(tmp_path: Path) -> None:
    arrangement = arrangement_of(tmp_path)
    text = reaper_text(arrangement, "clip.mp4")
    assert text == reaper_text(arrangement, "clip.mp4")
    ids = [line.split()[1] for line in text.splitlines() if line.strip().split(" ")[0] in ("GUID", "IGUID", "TRACKID")]
    assert len(set(ids)) == len(ids) > 20


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Arrangement:
    return arrangement_of(tmp_path_factory.mktemp("music"), takes=2)


@settings(max_examples=60, deadline=None)
@given(
    names=st.lists(st.text(max_size=12), min_size=5, max_size=5, unique=True),
    film=st.text(min_size=1, max_size=20),
)
def test_any_name_can_be_written(music: Arrangement, names: list[str], film: str) -> None:
    text = reaper_text(renamed(music, names), film)
    depth = 0
    for line in text.splitlines():
        stripped = line.strip()
        depth += stripped.startswith("<")
        depth -= stripped == ">"
        assert depth >= 0
        assert depth > 0 or stripped == ">"
    assert text.count("<TRACK ") == 6
    text.encode()


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


@pytest.mark.parametrize("edited", [False, True])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_added_to_a_project_the_music_keeps_to_the_film_and_all_else_stays(
    tmp_path: Path, line_end: str, edited: bool
) -> None:
    arrangement = arrangement_of(tmp_path, edited=edited)
    before = THEIRS.replace("\n", line_end)
    after = added(before, arrangement, "clip.mp4", at=Fraction(61, 8))
    assert after.startswith(before[: -1 - len(line_end)])
    assert after.endswith(f">{line_end}")
    assert after.count("\n") == after.count(line_end)
    project = read(after.replace("\r\n", "\n"))
    assert len(blocks(project, "TRACK")) == 1 + 1 + len(arrangement.version.parts)
    numbers = [mark[0] for mark in words(project, "MARKER")[3:]]
    assert min(map(int, numbers)) == 8
    cut = next(mark for mark in words(project, "MARKER") if mark[2] == "Cut 1")
    assert float(cut[1]) == pytest.approx(7.625 + 1.2512)
    for track, part in zip(blocks(project, "TRACK")[2:], arrangement.version.parts, strict=True):
        assert word(track, "BEAT") == "0"
        heard = []
        for item in map(Takes, blocks(track, "ITEM")):
            ignoring, bpm, *_ = word_list(item.takes[item.active][1], "IGNTEMPO")
            assert ignoring == "1"
            division = int(word_list(item.takes[item.active][1], "HASDATA")[1])
            for start, end, *rest in notes([e for e in item.events(item.active) if e[1][0] < 0xF0]):
                times = [item.position + tick * 60 / float(bpm) / division for tick in (start, end)]
                assert times[1] <= item.position + item.length + SAMPLE
                heard.append((*times, *rest))
        joined: list[tuple[float, ...]] = []
        for start, end, *rest in sorted(heard):
            before_it = [n for n, each in enumerate(joined) if abs(each[1] - start) < SAMPLE and list(each[2:]) == rest]
            over = before_it and start in [round(item.position, 14) for item in map(Takes, blocks(track, "ITEM"))]
            if over:
                joined[before_it[0]] = (joined[before_it[0]][0], end, *rest)
            else:
                joined.append((start, end, *rest))
        wanted = [
            (
                7.625 + float(arrangement.seconds(n.start)),
                7.625 + float(arrangement.seconds(n.end)),
                n.channel,
                n.pitch,
                n.velocity,
            )
            for n in part.notes
        ]
        assert len(joined) == len(wanted)
        for one, other in zip(sorted(joined), sorted(wanted), strict=True):
            assert one == pytest.approx(other, abs=SAMPLE)


@pytest.mark.parametrize("text", ["", "no project", '<REAPER_PROJECT 0.1 "7" 0\n  TEMPO 120 4 4\n', "<RPP_PROJECT\n>"])
def test_what_is_no_project_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match="no complete REAPER project"):
        added(text, arrangement_of(tmp_path, takes=1, current=0), None, at=Fraction(0))
