from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from cmt_bridge.live.music import Music
from cmt_bridge.live.rehearsal import rehearse
from cmt_bridge.live.request import StreamRequest
from tests.live.playing import piece

CLIP = Path("clip.mp4")


def test_every_note_has_its_time_and_its_place() -> None:
    found = list(rehearse(Music.of_score(piece(2, bpm=120.0, length=3)), StreamRequest(CLIP)))
    ons = [each for each in found if each.kind == "note on" and each.track == "piano"]
    assert [each.seconds for each in ons] == [0.5 * number for number in range(8)]
    assert [each.position for each in ons] == [f"{bar}|{beat}|000" for bar in (1, 2) for beat in (1, 2, 3, 4)]
    offs = [each for each in found if each.kind == "note off" and each.track == "piano"]
    assert [each.seconds for each in offs] == [0.5 * number + 0.375 for number in range(8)]
    assert offs[0].position == "1|1|360"
    assert Counter(each.track for each in found if each.kind == "note on") == dict.fromkeys(
        ("drums", "piano", "guitar", "bass", "strings"), 8
    )
    assert [each.seconds for each in found] == sorted(each.seconds for each in found)
    assert ons[0].to_json() == {
        "seconds": 0.0,
        "position": "1|1|000",
        "track": "piano",
        "message": "note on",
        "bytes": [0x90, 62, 90],
    }


def test_who_leads_is_heard_too() -> None:
    found = list(rehearse(Music.of_score(piece(2, bpm=120.0)), StreamRequest(CLIP, lead=("clock",))))
    sync = [each for each in found if each.track == "sync"]
    assert Counter(each.kind for each in sync)["start"] == 1
    clocks = [each.seconds for each in sync if each.kind == "clock"]
    assert len(clocks) == pytest.approx(2 * 96, abs=1)
    assert clocks[:25:24] == pytest.approx([0.0, 0.5])


def test_a_loop_is_shown_once_and_silence_never() -> None:
    found = list(
        rehearse(Music.of_score(piece(4, bpm=120.0)), StreamRequest(CLIP, loop=(1, 3), mute=("drums", "bass")))
    )
    ons = [each for each in found if each.kind == "note on"]
    assert {each.track for each in ons} == {"piano", "guitar", "strings"}
    assert [each.position for each in ons if each.track == "piano"][::4] == ["2|1|000", "3|1|000"]
    assert len(ons) == 3 * 8


def test_what_sounds_late_is_sent_early() -> None:
    request = StreamRequest(CLIP, latency={"strings": 30.0})
    ons = [each for each in rehearse(Music.of_score(piece(1, bpm=120.0)), request) if each.kind == "note on"]
    first = {each.track: each.seconds for each in reversed(ons)}
    assert first["piano"] - first["strings"] == pytest.approx(0.03)
