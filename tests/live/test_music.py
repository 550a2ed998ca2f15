"""What a stream plays of a take is what is in its MIDI file, event for event."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import mido
import pytest

from cmt_bridge.live.controls import Controls
from cmt_bridge.live.music import Music
from cmt_bridge.live.rehearsal import Rehearsed, rehearse
from cmt_bridge.live.request import StreamRequest
from cmt_bridge.takes.take import NewTake, TakeInfo
from cmt_bridge.takes.take_folder import TakeFolder
from tests.live.edited import BARS, DIVISION, edited, plain, saved, score, timed

Run = Callable[..., tuple[int, str, str]]
CLIP = Path("clip.mp4")
BAR = 2.5  # s
NOTE_OFF, NOTE_ON, CONTROLLER, PROGRAM = 0x80, 0x90, 0xB0, 0xC0


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TakeFolder:
    """Give a project of a take, and of the same edited elsewhere, which is the current one."""
    monkeypatch.setenv("CMT_BRIDGE_STATE", str(tmp_path / "state"))
    return made(tmp_path, edited())


def made(folder: Path, *files: mido.MidiFile) -> TakeFolder:
    (folder / "clip.mp4").write_bytes(b"a video")
    info = TakeInfo("score", "2026-01-02T03:04:05+00:00")
    found = TakeFolder.create(folder / "clip.cmt", "clip.mp4", "abc", [NewTake(score(), info)])
    for file in files:
        found.add([NewTake(score(), TakeInfo("regenerate", info.made, edited=True), None, saved(file))])
    return found


def without_end(heard: Sequence[tuple[float, bytes]], end: float) -> list[tuple[float, bytes]]:
    """Leave out what ends the music: the controllers that silence each channel where it stops."""
    return [(time, data) for time, data in heard if not (time >= end and data[0] & 0xF0 == CONTROLLER)]


def same(heard: Sequence[tuple[float, bytes]], meant: Sequence[tuple[float, bytes]], within: float) -> None:
    """Hold what was heard to what was meant, each event at its time; those of one moment in any order."""
    assert len(heard) == len(meant)
    left = sorted(meant, key=lambda each: (each[1], each[0]))
    for (time, data), (wanted, said) in zip(sorted(heard, key=lambda each: (each[1], each[0])), left, strict=True):
        assert data == said
        assert abs(time - wanted) < within
    assert [time for time, _ in heard] == sorted(time for time, _ in heard)


TEMPOS = (
    ((0, 625_000),),
    ((0, 625_000), (1920, 500_000), (3840, 700_001)),
    ((0, 625_000), (1001, 400_000), (1033, 811_111), (5000, 333_333)),
)


@pytest.mark.parametrize("tempos", TEMPOS)
def test_a_dry_run_sends_each_event_on_time(run: Run, tmp_path: Path, tempos: tuple) -> None:  # type: ignore[type-arg]
    file = edited(tempos=tempos)
    project = made(tmp_path, file)
    code, out, err = run("stream", project.folder, "--dry-run", "--json")
    assert (code, err) == (0, "")
    lines = [json.loads(line) for line in out.splitlines()]
    heard = [(line["seconds"], bytes(line["bytes"])) for line in lines]
    tick = min(uspq for _, uspq in tempos) / 1e6 / DIVISION
    same(without_end(heard, float(Music.of_take(project.current()).tempo_map.bar_seconds(BARS))), timed(file), tick)
    assert {line["track"] for line in lines if line["message"] == "note on"} == {"drums", "piano", "SFX"}
    assert {line["track"] for line in lines if line["bytes"][0] == 0xF0} == {"all"}


def test_an_unedited_take_plays_as_its_file(project: TakeFolder) -> None:
    heard = rehearsed(project, take=1)
    meant = timed(mido.MidiFile(project.take(1).midi))
    same(without_end(heard, BARS * BAR), meant, BAR / 4 / DIVISION)
    assert project.take(1).midi.read_bytes() == plain()


def rehearsed(project: TakeFolder, *, take: int = 2, **wanted: object) -> list[tuple[float, bytes]]:
    found = rehearse(Music.of_take(project.take(take)), StreamRequest(CLIP, **wanted))  # type: ignore[arg-type]
    return [(each.seconds, each.data) for each in found]


def test_entering_the_music_sets_all_controllers(project: TakeFolder) -> None:
    heard = rehearsed(project, loop=(4, 6))
    begin = [data for time, data in heard if time == 0 and data[0] & 0xF0 not in (NOTE_ON, NOTE_OFF)]
    assert begin.index(b"\xc0\x13") < begin.index(b"\xb0\x40\x00")  # the program of bar 4, the pedal up
    assert {b"\xc5\x7f", b"\xb5\x07\x64", b"\xe0\x00\x40", b"\xd0\x07"} <= set(begin)
    in_the_middle = rehearsed(project, loop=(3, 4))
    assert [data for time, data in in_the_middle if time == 0 and data[0] & 0xF0 == PROGRAM] == [
        b"\xc0\x04",
        b"\xc5\x7f",
    ]


def test_a_pedal_that_is_down_where_it_stops_is_lifted(tmp_path: Path) -> None:
    file = edited()
    file.tracks[2] = mido.MidiTrack(each for each in file.tracks[2] if not (each.is_cc(64) and each.value == 0))
    heard = rehearsed(made(tmp_path, file))
    pedals = [(time, data) for time, data in heard if data[:2] == b"\xb0\x40"]
    assert pedals[-1][0] == pytest.approx(BARS * BAR, abs=0.011)
    assert pedals[-1][1] == b"\xb0\x40\x00"
    assert all(data[2] for _, data in pedals[:-1])


def test_instruments_are_muted_where_the_file_has_them(tmp_path: Path) -> None:
    file = edited()
    for message in file.tracks[2]:
        if not message.is_meta:
            message.channel = 7
    music = Music.of_take(made(tmp_path, file).current())
    assert music.silent(Controls.of(("piano",), ())) == {7}
    assert music.silent(Controls.of((), ("piano",))) >= {9, 5}
    assert 7 not in music.silent(Controls.of((), ("piano",)))
    heard = [each for each in rehearse(music, StreamRequest(CLIP, mute=("piano",))) if each.kind == "note on"]
    assert {each.track for each in heard} == {"drums", "SFX"}
    assert {track.name for track in music.tracks} >= {"drums", "piano", "guitar", "bass", "strings", "SFX"}
    assert len({track.channel for track in music.tracks}) == len(music.tracks)


def test_each_track_of_the_file_has_a_port(project: TakeFolder) -> None:
    music = Music.of_take(project.current())
    order = StreamRequest(CLIP, split=True).order(music.tempo_map, music.picture, tracks=music.tracks)
    assert order.music == ("piano", "guitar", "bass", "strings", "SFX", "drums")
    assert type(order).from_json(order.to_json()) == order


def test_the_composer_hears_the_five_on_the_grid(project: TakeFolder) -> None:
    music = Music.of_take(project.current())
    bars = music.on_grid(music.bars)
    assert [bar for bar, _ in bars] == list(range(BARS))
    assert {note[2] for _, notes in bars for note in notes} == {0, 9}
    assert all(isinstance(value, int) for _, notes in bars for note in notes for value in note)
    assert all(bar * 16 <= note[0] < bar * 16 + 16 for bar, notes in bars for note in notes)


def test_packet_exclusives_go_out_whole_and_escapes_never(tmp_path: Path) -> None:
    data = saved(edited())
    packets = b"\x00\xf0\x03\x43\x12\x00\x0a\xf7\x02\x05\xf7\x00\xf7\x01\xf8"
    head, _, rest = data.rpartition(b"MTrk")
    size, body = int.from_bytes(rest[:4]), rest[4:]
    data = head + b"MTrk" + (size + len(packets)).to_bytes(4) + packets + body
    project = made(tmp_path)
    project.add([NewTake(score(), TakeInfo("regenerate", "2026-01-02T03:04:05+00:00"), None, data)])
    whole = [data for _, data in rehearsed(project) if data[0] >= 0xF0]
    assert whole[0] == b"\xf0\x43\x12\x00\x05\xf7"
    assert all(data[-1] == 0xF7 for data in whole)


def test_music_beyond_the_pictures_bars_plays_too(tmp_path: Path) -> None:
    file = edited(bars=BARS + 3)
    heard = rehearsed(made(tmp_path, file))
    same(without_end(heard, (BARS + 3) * BAR), timed(file), BAR / 4 / DIVISION)


def test_off_grid_events_are_shown_where_daws_do(project: TakeFolder) -> None:
    found: list[Rehearsed] = list(rehearse(Music.of_take(project.current()), StreamRequest(CLIP)))
    drums = [each.position for each in found if each.kind == "note on" and each.track == "drums"]
    assert drums[:4] == ["1|1|000", "1|1|160", "1|1|320", "1|2|000"]
