"""Bars composed anew in a project: which bars, from what, and what stays as it was."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import mido
import pytest

from cmt_bridge.core.instruments import Instrument
from cmt_bridge.core.metadata import Cut, VideoMetadata, VideoSource, VisualBeat
from cmt_bridge.core.options import ComposeOptions
from cmt_bridge.core.score import Marker, Note, Provenance, Score, Track
from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.errors import MidiError, ScoreError, UsageError
from cmt_bridge.model.checkpoint import save_network
from cmt_bridge.model.event_network import EventTransformer
from cmt_bridge.scoring.export import arrangement_of
from cmt_bridge.scoring.outcome import Outcome
from cmt_bridge.scoring.regenerate import RegenerateRequest, regenerate
from cmt_bridge.takes.take import NewTake, TakeInfo
from cmt_bridge.takes.take_folder import TakeFolder
from tests.live.edited import edited, saved

BARS = 8
METADATA = VideoMetadata(
    VideoSource("clip.mp4", "abc", 160, 90, 0, (25, 1), 400),
    duration=16.0,
    tempo=120.0,
    tempo_source="estimated",
    beats=(VisualBeat(2.0, 0.95), VisualBeat(9.0, 0.9)),
    cuts=(Cut(6.2, 1.0),),
    flow_per_bar=(0.2,) * BARS,
)
MARKERS = (
    Marker(0.0, "section", "Section A (calm)"),
    Marker(6.2, "cut", "Cut 1"),
    Marker(6.2, "section", "Section B (lively)"),
    Marker(12.1, "section", "Section A (calm)"),
    Marker(14.0, "cut", "Cut 2"),
)


@pytest.fixture(scope="module")
def model(composer: EventTransformer, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save_network(composer, path, record={})
    return str(path)


def piece() -> Score:
    tracks = tuple(
        Track(i, 0, tuple(Note(tick, 40 + 5 * int(i), 4, 70) for tick in range(0, 16 * BARS, 4))) for i in Instrument
    )
    made = Provenance(options=json.loads(json.dumps(ComposeOptions().to_json())))
    return Score(TempoMap.constant(120), tracks, BARS, 16.0, (25, 1), "clip", MARKERS, made)


@pytest.fixture
def project(tmp_path: Path) -> TakeFolder:
    (tmp_path / "clip.mp4").write_bytes(b"a video")
    info = TakeInfo("score", "2026-01-02T03:04:05+00:00")
    return TakeFolder.create(tmp_path / "clip.cmt", "clip.mp4", "abc", [NewTake(piece(), info, METADATA)])


def run(project: TakeFolder, model: str, **wishes: object) -> Outcome:
    video = project.folder.with_name("clip.mp4")
    usual: dict[str, object] = {"path": video, "model": model, "seed": 3, "candidates": 2}
    return regenerate(RegenerateRequest(**{**usual, **wishes}), lambda *_: None)  # type: ignore[arg-type]


def changed_bars(project: TakeFolder, first: int = 1, second: int = 2) -> set[int]:
    before, after = project.take(first).score(), project.take(second).score()
    pairs = zip(before.tracks, after.tracks, strict=True)
    return {note.onset // 16 + 1 for a, b in pairs for note in set(a.notes) ^ set(b.notes)}


def test_the_new_take_is_the_current_one(project: TakeFolder, model: str) -> None:
    outcome = run(project, model, bars="3-4", tracks=("piano", "bass"))
    assert [take["take"] for take in outcome.takes] == [2]
    assert project.current().number == 2
    info = project.current().info
    assert (info.verb, info.origin, info.seed, info.edited) == ("regenerate", 1, outcome.takes[0]["seed"], False)
    assert info.request["bars"] == [[3, 4]]
    assert info.request["tracks"] == ["Piano", "Bass"]
    assert changed_bars(project) <= {3, 4}
    assert outcome.dropped == [str(project.folder.with_name("clip.mid"))]
    assert project.folder.with_name("clip.mid").read_bytes() == project.current().midi.read_bytes()


def test_a_request_is_carried_out_once(project: TakeFolder, model: str) -> None:
    first = run(project, model, bars="3-4", key="k", variations=2)
    again = run(project, model, bars="3-4", key="k", variations=2)
    assert [take["folder"] for take in again.takes] == [take["folder"] for take in first.takes]
    assert len(project.takes()) == 3


def test_what_a_kill_left_undone_is_done(project: TakeFolder, model: str) -> None:
    """Two takes were asked for, and only one was written."""
    whole = run(project, model, bars="3-4", key="k", variations=2)
    scores = {take["seed"]: Path(take["folder"], "score.json").read_bytes() for take in whole.takes}
    gone = Path(whole.takes[1]["folder"])
    for path in gone.iterdir():
        path.unlink()
    gone.rmdir()
    again = run(project, model, bars="3-4", key="k", variations=2)
    assert {take["seed"]: Path(take["folder"], "score.json").read_bytes() for take in again.takes} == scores


@pytest.mark.parametrize(
    ("wishes", "bars"),
    [
        ({"bars": "2,5-6"}, {2, 5, 6}),
        ({"start": "4.5", "end": "8"}, {3, 4, 5}),  # a bar lasts 2 s
        ({"start": "14"}, {8}),
        ({"start": "Cut 1", "end": "Cut 2"}, {4, 5, 6, 7}),  # the bar lines next to 6.2 s and 14 s
        ({"start": "cut 1", "end": "9.9"}, {4, 5}),
        ({"marker": "Section B"}, {4, 5, 6}),
        ({"marker": "Section A"}, {1, 2, 3}),
        ({"marker": "Cut 2"}, {8}),
    ],
)
def test_bars_are_named_in_several_ways(
    project: TakeFolder, model: str, wishes: dict[str, str], bars: set[int]
) -> None:
    outcome = run(project, model, **wishes)
    asked = project.current().info.request["bars"]
    assert {bar for first, last in asked for bar in range(first, last + 1)} == bars
    assert changed_bars(project) <= bars
    assert outcome.takes


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        ({}, "Which bars"),
        ({"bars": "1", "marker": "Cut 1"}, "Which bars"),
        ({"marker": "Cut"}, r"several markers.*Cut 1, Section B"),
        ({"marker": "Chorus"}, r"no marker 'Chorus'.*Markers: Section A \(calm\), Cut 1"),
        ({"start": "nan"}, "no marker 'nan'"),
        ({"bars": "9"}, "no bars 9-9"),
        ({"start": "Cut 2", "end": "Cut 1"}, r'--from "Cut 2" \(bar 8, at 14.0 s\) and --to "Cut 1" \(bar'),
        ({"start": "12.5", "end": "Cut 1"}, r'--from 12.5 \(bar 7, at 12.5 s\) and --to "Cut 1" \(bar'),
        ({"start": "0:12.5", "end": "3"}, r"--from 0:12.5 \(bar 7, at 12.5 s\) and --to 3 \(bar 2, at 3.0 s\)"),
        ({"start": "99"}, "--from 99 lies after the film ends, at"),
        ({"end": "-1"}, "--to -1 lies before the film begins"),
        ({"bars": "1", "tracks": ("kazoo",)}, "kazoo"),
        ({"bars": "1", "lock": ("drums", "piano", "guitar", "bass", "strings")}, "locked"),
        ({"bars": "1", "keep": "all"}, "keep must be one of rhythm, pitches, not 'all'"),
        ({"bars": "1", "precision": "int4"}, "precision"),
    ],
)
def test_what_cannot_be_is_refused(project: TakeFolder, model: str, wishes: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        run(project, model, **wishes)
    assert len(project.takes()) == 1


def test_precision_is_as_the_folder_says(project: TakeFolder, model: str) -> None:
    (project.folder.parent / "cmt-bridge.toml").write_text('[score]\nprecision = "int8"\n')
    run(project, model, bars="2")
    run(project, model, bars="2", precision="float32")
    made = [project.take(number).score().provenance.options["regenerated"][-1] for number in (2, 3)]
    assert [each["precision"] for each in made] == ["int8", "float32"]
    request = RegenerateRequest(Path("clip.mp4"), precision="float32")
    assert RegenerateRequest.from_json(request.to_json()) == request  # a daemon is told of it too


def test_a_control_of_nothing_is_remembered(project: TakeFolder, model: str) -> None:
    run(project, model, bars="2", control=0)
    take = project.take(2)
    assert take.info.request["control"] == 0
    assert take.score().provenance.options["regenerated"][-1]["control"] == 0


def test_a_video_without_a_score_is_named(tmp_path: Path, model: str) -> None:
    (tmp_path / "new.mp4").write_bytes(b"a video")
    with pytest.raises(ScoreError, match=r"new\.mp4 has no score yet.*cmt-bridge score"):
        regenerate(RegenerateRequest(tmp_path / "new.mp4", bars="1", model=model), lambda *_: None)


def test_the_rhythm_stays(project: TakeFolder, model: str) -> None:
    run(project, model, bars="3-5", keep="rhythm", tracks=("piano", "strings"))
    before, after = project.take(1).score(), project.take(2).score()
    for a, b in zip(before.tracks, after.tracks, strict=True):
        assert [(n.onset, n.duration, n.velocity) for n in a.notes] == [
            (n.onset, n.duration, n.velocity) for n in b.notes
        ]
    assert changed_bars(project)
    assert changed_bars(project) <= {3, 4, 5}


def test_a_part_that_rests_is_told() -> None:
    from cmt_bridge.core.anew import Request
    from cmt_bridge.scoring.infill import Regenerated
    from cmt_bridge.scoring.regenerate import _sentence

    tracks = tuple(
        replace(track, notes=tuple(n for n in track.notes if not 16 <= n.onset < 48)) if track.name == "Bass" else track
        for track in piece().tracks
    )
    made = Regenerated(replace(piece(), tracks=tracks), 1, None, 0)
    wanted = Request(((1, 3),), (Instrument.PIANO, Instrument.BASS))
    assert "no notes for Bass: the model lets it rest there" in _sentence(made, wanted)
    assert "no notes" not in _sentence(made, replace(wanted, bars=((1, 4),)))


def test_a_request_goes_over_a_wire() -> None:
    request = RegenerateRequest(
        Path("/a/clip.mp4"), start="Cut 1", end="9.5", tracks=("piano",), base=Path("/a/b.mid"), seed=4, density=-2
    )
    data = json.loads(json.dumps(request.to_json()))
    assert data["from"] == "Cut 1"
    assert RegenerateRequest.from_json(data) == request
    assert RegenerateRequest.from_json({"path": "x", "from": 4.5}).start == "4.5"
    with pytest.raises(UsageError, match="kazoo"):
        RegenerateRequest.from_json({"path": "x", "kazoo": 1})


# On a MIDI file that was edited in a DAW

TICKS = 960


def edited_file(path: Path, *, tempos: tuple[tuple[int, int], ...] = ((0, 500_000),), metre: int = 4) -> Path:
    """Write what a DAW exports: 960 ticks a quarter, off the grid, a controller, a further track, bends."""
    conductor = mido.MidiTrack([mido.MetaMessage("time_signature", numerator=metre, denominator=4)])
    now = 0
    for tick, tempo in tempos:
        conductor.append(mido.MetaMessage("set_tempo", tempo=tempo, time=tick - now))
        now = tick
    file = mido.MidiFile(type=1, ticks_per_beat=TICKS)
    file.tracks.append(conductor)
    for name, channel, program in (("Piano", 0, 0), ("Lead voice", 5, 81), ("Bass", 2, 33)):
        track = mido.MidiTrack([mido.MetaMessage("track_name", name=name)])
        track.append(mido.Message("program_change", channel=channel, program=program))
        for beat in range(4 * BARS):
            late = 37 * (beat % 3)
            track.append(mido.Message("control_change", channel=channel, control=1, value=beat, time=late))
            track.append(mido.Message("note_on", channel=channel, note=50 + channel, velocity=33 + beat))
            track.append(mido.Message("pitchwheel", channel=channel, pitch=beat * 100, time=300))
            track.append(mido.Message("note_off", channel=channel, note=50 + channel, time=200))
            track.append(mido.Message("control_change", channel=channel, control=64, value=0, time=TICKS - 500 - late))
        file.tracks.append(track)
    file.save(path)
    return path


def events(path: Path) -> list[list[tuple[int, bytes]]]:
    """Read all events of a MIDI file by another library: tick and bytes, by track."""
    found = []
    for track in mido.MidiFile(path).tracks:
        now, those = 0, []
        for message in track:
            now += message.time
            if message.type != "end_of_track":
                those.append((now, bytes(message.bytes())))
        found.append(those)
    return found


def is_outside(event: tuple[int, bytes], section: range) -> bool:
    """Tell whether an event is none of a note in the section; what ends with it ends on its last line."""
    tick, data = event
    if data[0] & 0xE0 != 0x80:
        return True
    return tick not in section and not (tick == section.stop and data[0] & 0xF0 == 0x80)


def test_what_was_edited_outside_survives(project: TakeFolder, model: str, tmp_path: Path) -> None:
    tempos = ((0, 500_000), (5 * TICKS + 100, 600_000), (20 * TICKS, 450_000))
    base = edited_file(tmp_path / "edited.mid", tempos=tempos)
    original = base.read_bytes()
    run(project, model, bars="3-4", tracks=("piano",), base=base)
    take = project.current()
    assert base.read_bytes() == original
    assert take.info.edited
    before, after = events(base), events(take.midi)
    section = range(2 * 4 * TICKS, 4 * 4 * TICKS)
    assert before[0] == after[0]
    assert before[2:] == after[2:]
    kept = [event for event in before[1] if is_outside(event, section)]
    assert [event for event in after[1] if is_outside(event, section)] == kept
    assert after[1] != before[1]
    # The take goes on from what was edited, without being told again.
    run(project, model, bars="6", tracks=("bass",), seed=5)
    again = events(project.current().midi)
    assert project.current().info.edited
    assert again[:3] == after[:3]
    section = range(5 * 4 * TICKS, 6 * 4 * TICKS)
    assert [e for e in again[3] if is_outside(e, section)] == [e for e in after[3] if is_outside(e, section)]
    assert project.folder.with_name("clip.mid").read_bytes() == project.current().midi.read_bytes()


def test_markers_are_those_of_the_edited_file(project: TakeFolder, model: str, tmp_path: Path) -> None:
    """One was moved, one renamed, one added; one that stayed keeps its exact time and its kind."""
    base = edited_file(tmp_path / "edited.mid")
    file = mido.MidiFile(base)
    ticks = {6.2: "Cut 1", 9.0: "Chorus", 12.1: "Love theme", 13.0: "Cut 2"}
    now = 0
    for seconds, text in ticks.items():
        tick = round(seconds * 2 * TICKS)
        file.tracks[0].append(mido.MetaMessage("marker", text=text, time=tick - now))
        now = tick
    file.save(base)
    run(project, model, marker="Chorus", tracks=("piano",), base=base)
    take = project.current()
    assert take.info.request["bars"] == [[5, 6]]
    wanted = (
        Marker(6.2, "cut", "Cut 1"),
        Marker(9.0, "section", "Chorus"),
        Marker(pytest.approx(12.1, abs=0.001), "section", "Love theme"),  # type: ignore[arg-type]
        Marker(13.0, "cut", "Cut 2"),
    )
    assert take.score().markers == wanted
    arrangement, _, _ = arrangement_of(project.folder)
    assert [span.name for span in arrangement.sections] == ["Chorus", "Love theme"]
    assert [(mark.seconds, mark.text) for mark in arrangement.markers] == [(6.2, "Cut 1"), (13.0, "Cut 2")]
    run(project, model, start="Chorus", end="Love theme", tracks=("piano",))  # from what the take has
    assert project.current().info.request["bars"] == [[5, 6]]
    with pytest.raises(UsageError, match="no marker"):
        run(project, model, marker="Section B", tracks=("piano",))


def test_a_file_without_markers_says_nothing_of_them(project: TakeFolder, model: str, tmp_path: Path) -> None:
    run(project, model, marker="Section B", tracks=("piano",), base=edited_file(tmp_path / "edited.mid"))
    assert project.current().info.request["bars"] == [[4, 6]]
    assert project.current().score().markers == MARKERS


def test_bars_of_an_edited_file_are_its_own(project: TakeFolder, model: str, tmp_path: Path) -> None:
    """At half the tempo the picture has four bars; the file has eight."""
    base = edited_file(tmp_path / "slow.mid", tempos=((0, 1_000_000),))
    run(project, model, bars="8", tracks=("piano",), base=base)
    assert project.current().score().tempo_map.bpm_at(0) == pytest.approx(60)
    assert changed_bars(project)


@pytest.mark.parametrize(("metre", "words"), [(3, "3/4"), (7, "7/4")])
def test_bars_in_another_metre_are_refused(
    project: TakeFolder, model: str, tmp_path: Path, metre: int, words: str
) -> None:
    with pytest.raises(MidiError, match=words):
        run(project, model, bars="2", base=edited_file(tmp_path / "odd.mid", metre=metre))
    with pytest.raises(MidiError, match="not a MIDI file"):
        run(project, model, bars="2", base=project.folder / "score.json")
    assert len(project.takes()) == 1


def test_a_plain_score_folder_goes_on_as_folders(model: str, tmp_path: Path) -> None:
    from cmt_bridge.takes.write import write_take

    folder = write_take(replace(piece(), title="film"), None, "film", tmp_path / "film score")
    outcome = regenerate(
        RegenerateRequest(folder, bars="2", model=model, seed=1, candidates=1, base=None), lambda *_: None
    )
    assert [Path(take["folder"]).name for take in outcome.takes] == ["film score take 2"]
    assert outcome.project is None


def test_a_folder_with_an_edited_file_goes_on_from_that(model: str, tmp_path: Path) -> None:
    from cmt_bridge.takes.write import write_take

    base = edited_file(tmp_path / "edited.mid", tempos=((0, 500_000),))
    folder = write_take(replace(piece(), title="film"), None, "film", tmp_path / "film", midi=base.read_bytes())
    outcome = regenerate(
        RegenerateRequest(folder, bars="2", tracks=("bass",), model=model, seed=1, candidates=1), lambda *_: None
    )
    made = Path(outcome.takes[0]["folder"])
    before, after = events(base), events(made / "film.mid")
    assert after[:3] == before[:3]


def test_a_takes_figures_are_those_of_its_file(project: TakeFolder, model: str, tmp_path: Path) -> None:
    file = edited(bars=BARS, tempos=((0, 500_000), (480 * 4, 400_000)))
    base = tmp_path / "edited.mid"
    base.write_bytes(saved(file))
    outcome = run(project, model, bars="3", tracks=("bass",), base=base)
    (take,) = outcome.takes
    assert take["tempo"] == 120
    assert take["notes"] | {"Bass": 0} == {"Drums": BARS * 12, "Piano": BARS * 2, "SFX": BARS, "Bass": 0}
    assert take["bars"] >= BARS
