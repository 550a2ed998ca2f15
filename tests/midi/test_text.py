"""Names and markers in whatever encoding they are."""

from __future__ import annotations

import io
from pathlib import Path

import mido
import pytest

from cmt_bridge.midi.events import TEXTS
from cmt_bridge.midi.file import parsed
from cmt_bridge.midi.line import markers_of
from cmt_bridge.midi.plain import in_ascii
from cmt_bridge.midi.song import song_of
from cmt_bridge.midi.text import ascii_of, text_of
from cmt_bridge.outputs.edited import edited_of
from cmt_bridge.projects.arrangement import version_of
from tests.outputs.midifiles import chunk, meta, midi, played

WESTERN = [
    "Batterie été",
    "Flûte",
    "étude",
    "étable",
    "Schläger",
    "Für Elise",
    "Cœur",
    "Drum ’n Bass",
    "Singer’s part",
    "“École”",
    "Škoda",
    "Œuvre",
    "Español",
    "Niño",
    "Noël",
    "Hörner",
    "Flöte",
    "Trompète",
    "Violão",
    "ÄÖÜ",
    "À la",
    "ÉTÉ",
    "Übung",
    "étés",
    "él",
    "Pièce à côté",
    "«grave»",
    "½ Takt",
    "Céu",
    "Baß",
    "Refrão",
]
JAPANESE = [
    "曲",
    "サビ",
    "ドラム",
    "ピアノ",
    "ギター",
    "ベース",
    "弦",
    "弦楽器",
    "ﾋﾟｱﾉ",
    "ﾄﾞﾗﾑ",
    "Aメロ",
    "三味線",
    "太鼓",
    "笛",
    "箏",
    "尺八",
    "主旋律",
    "Piano 右手",
    "間奏",
    "第１楽章",
    "ｽﾄﾘﾝｸﾞｽ 1",
    "女声 2",
    "木管",
    "Ｐｉａｎｏ",
]


@pytest.mark.parametrize("text", [*WESTERN, *JAPANESE, "", "Piano", "Ελληνικά ☀"])
def test_utf_8_with_and_without_a_mark(text: str) -> None:
    assert text_of(text.encode()) == text_of(text.encode("utf-8-sig")) == text_of(text.encode() + b"\0") == text


@pytest.mark.parametrize("text", WESTERN)
def test_western_text_though_it_may_be_shift_jis_as_well(text: str) -> None:
    assert text_of(text.encode("cp1252")) == text


@pytest.mark.parametrize("text", JAPANESE)
def test_japanese_text(text: str) -> None:
    assert text_of(text.encode("cp932")) == text


def test_bytes_that_no_encoding_has_do_not_end_anything() -> None:
    assert text_of(b"a\x81") == "a\N{REPLACEMENT CHARACTER}"
    assert all(
        isinstance(text_of(bytes((a, b, c))), str)
        for a in range(0x80, 0x100, 7)
        for b in range(256)
        for c in (0, 65, 200)
    )


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Batterie été", "Batterie ete"),
        ("Baß", "Bass"),
        ("Œuvre n° 1", "OEuvre n? 1"),
        ("ピアノ 2", "??? 2"),
        ("A–B’s", "A-B's"),
    ],
)
def test_ascii(text: str, plain: str) -> None:
    assert ascii_of(text) == plain


@pytest.mark.parametrize(
    ("encoding", "name", "marker"),
    [("cp1252", "Flûte", "Refrão"), ("cp932", "ピアノ", "サビ"), ("utf-8-sig", "Été", "Chœur")],
)
def test_every_reader_reads_names(encoding: str, name: str, marker: str, tmp_path: Path) -> None:
    events = [(0, meta(3, name.encode(encoding))), (480, meta(6, marker.encode(encoding))), *played(0, 960)]
    path = tmp_path / "a.mid"
    path.write_bytes(midi(chunk(events)))
    file = parsed(path.read_bytes(), path)
    assert markers_of(file) == ((480, marker),)
    assert [track.name for track in song_of(file, path).tracks] == [name]
    version = version_of(path, "")
    assert ([part.name for part in version.parts], version.marks) == ([name], ((480, marker),))
    assert [mark.text for mark in edited_of(path.read_bytes(), path).markers()] == [marker]
    plain = mido.MidiFile(file=io.BytesIO(in_ascii(path.read_bytes(), path)), charset="ascii")
    assert [m.type for m in plain.tracks[0]] == ["track_name", "note_on", "marker", "note_off", "end_of_track"]
    assert all(
        text.isascii()
        for track in parsed(in_ascii(path.read_bytes(), path), path).tracks
        for _, _, text in track.metas(*TEXTS)
    )
