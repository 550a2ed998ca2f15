"""Project folders: takes that never change, choices that can be undone, copies for a session."""

from __future__ import annotations

import json
import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from cmt_bridge.config import Outputs
from cmt_bridge.core.instruments import Instrument
from cmt_bridge.core.score import Note, Score, Track
from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.errors import OutputError, ScoreError, UsageError
from cmt_bridge.midi.events import END_OF_TRACK, TRACK_NAME, chunk_of, file_of, meta_event
from cmt_bridge.outputs.midi import midi_bytes
from cmt_bridge.takes.diff import Diff, diff
from cmt_bridge.takes.locate import find_take_folder, folder_for_new
from cmt_bridge.takes.publish import publish
from cmt_bridge.takes.take import NewTake, TakeInfo
from cmt_bridge.takes.take_folder import TakeFolder

MADE = "2026-01-02T03:04:05+00:00"


def piece(pitch: int = 60, bpm: float = 120) -> Score:
    tracks = tuple(
        Track(i, 0, tuple(Note(tick, pitch + int(i), 4) for tick in range(0, 64, 4)) if i != Instrument.BASS else ())
        for i in Instrument
    )
    return Score(TempoMap.constant(bpm), tracks, 4, duration=8.0, title="clip")


def draft(pitch: int = 60, *, verb: str = "score", origin: int | None = None, key: str = "", seed: int = 0) -> NewTake:
    return NewTake(piece(pitch), TakeInfo(verb, MADE, key, seed, origin))


@pytest.fixture
def project(tmp_path: Path) -> TakeFolder:
    (tmp_path / "clip.mp4").write_bytes(b"a video")
    return TakeFolder.create(tmp_path / "clip.cmt", "clip.mp4", "abc", [draft()])


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def test_a_project_holds_its_takes(project: TakeFolder) -> None:
    assert sorted(contents(project.folder)) == [
        "history.json",
        "project.json",
        "score.json",
        "take 1/clip.mid",
        "take 1/score.json",
        "take 1/take.json",
    ]
    take = project.current()
    assert (take.number, take.info.verb, take.info.made) == (1, "score", MADE)
    assert take.midi.read_bytes() == midi_bytes(piece())
    assert take.score() == piece()
    assert project.videos() == [{"name": "clip.mp4", "sha256": "abc"}]


def test_takes_are_added_and_never_changed(project: TakeFolder) -> None:
    first = contents(project.folder / "take 1")
    added = project.add([draft(61, verb="regenerate", origin=1), draft(62, verb="regenerate", origin=1)])
    assert [take.number for take in added] == [2, 3]
    assert project.current().number == 2
    assert contents(project.folder / "take 1") == first
    assert (project.folder / "score.json").read_bytes() == (project.folder / "take 2" / "score.json").read_bytes()


def test_a_step_goes_to_the_next_take_not_rejected(project: TakeFolder) -> None:
    for pitch in (61, 62, 63):
        project.add([draft(pitch)])
    project.reject(3)
    assert project.current().number == 4
    assert [project.choose_neighbor(-1).number for _ in range(2)] == [2, 1]
    with pytest.raises(UsageError, match="no take before take 1"):
        project.choose_neighbor(-1)
    assert project.choose_neighbor(1, 3).number == 4  # from a rejected one, as a host may show it
    with pytest.raises(UsageError, match="no take after take 4"):
        project.choose_neighbor(1)
    with pytest.raises(UsageError, match="no take 9"):
        project.choose_neighbor(1, 9)
    assert project.undo().number == 1
    assert project.history().marks == {3: "rejected"}


def test_steps_at_the_same_moment_each_count(project: TakeFolder) -> None:
    for pitch in range(61, 65):
        project.add([draft(pitch)])
    project.choose(1)
    with ThreadPoolExecutor(4) as pool:
        reached = list(pool.map(lambda _: project.choose_neighbor(1).number, range(4)))
    assert project.current().number == 5
    assert len(project.history().choices) == 1 + 4 + 1 + 4
    assert max(reached) == 5


def test_choices_are_undone_and_redone(project: TakeFolder) -> None:
    project.add([draft(61)])
    project.add([draft(62)])
    project.choose(1)
    project.accept()
    assert project.history().marks == {1: "accepted"}
    assert project.undo().number == 1
    assert project.history().marks == {}
    assert project.undo().number == 3
    assert project.undo().number == 2
    assert project.undo().number == 1
    with pytest.raises(UsageError, match="nothing to undo"):
        project.undo()
    assert project.redo().number == 2
    project.choose(3)  # what was undone cannot be redone any more
    with pytest.raises(UsageError, match="nothing to redo"):
        project.redo()
    assert [take.number for take in project.takes()] == [1, 2, 3]
    assert json.loads((project.folder / "score.json").read_text()) == project.take(3).score().to_json()


def test_the_next_variation_takes_the_place_of_a_rejected_one(project: TakeFolder) -> None:
    project.add([draft(61 + n, verb="regenerate", origin=1, key="k", seed=n) for n in range(3)])
    assert project.reject().number == 3
    assert project.reject().number == 4
    assert project.reject().number == 1  # all variations are rejected: the take they were made from
    assert project.history().marks == {2: "rejected", 3: "rejected", 4: "rejected"}
    with pytest.raises(UsageError, match="no other take"):
        project.reject()
    assert project.undo().number == 4
    assert project.accept(2).number == 2
    assert project.history().marks[2] == "accepted"


def test_rejecting_another_take_leaves_the_current_one(project: TakeFolder) -> None:
    project.add([draft(61)])
    assert project.reject(1).number == 2


def test_what_is_not_there_cannot_be_chosen(project: TakeFolder) -> None:
    for choose in (project.choose, project.accept, project.reject):
        with pytest.raises(UsageError, match=r"no take 7.*There are: 1"):
            choose(7)
    assert project.current().number == 1


def test_a_killed_processs_take_becomes_current_once(project: TakeFolder) -> None:
    before = contents(project.folder)
    project.add([draft(61, key="k")])
    for name, data in before.items():  # all but the take itself is as it was
        (project.folder / name).write_bytes(data)
    (take,) = project.takes_of("k")
    assert project.current().number == 1
    project.recover(take)
    assert project.current().number == 2
    project.undo()
    project.recover(take)
    assert project.current().number == 1


def test_a_request_writes_a_take_once(project: TakeFolder) -> None:
    """A worker that was given up for dead may finish all the same."""
    first = project.add([draft(61, key="k", seed=1)])
    again = project.add([draft(61, key="k", seed=1), draft(62, key="k", seed=2)])
    assert [take.number for take in first] == [2]
    assert [take.number for take in again] == [2, 3]
    assert [take.number for take in project.add([draft(61, key="k", seed=1)])] == [2, 3]
    assert len(project.takes()) == 3


def test_what_a_killed_process_left_is_cleared_away(project: TakeFolder) -> None:
    left = project.folder / ".take 2.0123abcd.part"
    left.mkdir()
    (left / "clip.mid").write_bytes(b"MThd")
    (project.folder / ".history.0123abcd.part.json").write_text("{")
    (project.folder / ".mine").write_text("a file of somebody's")
    assert [take.number for take in project.takes()] == [1]
    project.add([draft(61)])
    assert not left.exists()
    assert sorted(path.name for path in project.folder.iterdir() if path.name.startswith(".")) == [".lock", ".mine"]


def test_damaged_files_are_named(project: TakeFolder) -> None:
    (project.folder / "history.json").write_text('{"position": 5, "choices": []}')
    with pytest.raises(ScoreError, match=r"history\.json is damaged"):
        project.current()
    (project.folder / "history.json").unlink()
    assert project.current().number == 1
    (project.folder / "take 1" / "take.json").write_text("{}")
    with pytest.raises(ScoreError, match=r"take\.json is damaged"):
        project.takes()
    (project.folder / "project.json").write_text('{"format": "cmt-bridge-project", "format_version": 99}')
    with pytest.raises(ScoreError, match="newer"):
        project.videos()


def add_takes(folder: str, count: int) -> None:
    for number in range(count):
        TakeFolder(Path(folder)).add([draft(40 + number)])


def test_processes_do_not_disturb_each_other(project: TakeFolder) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=add_takes, args=(str(project.folder), 5)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert [take.number for take in project.takes()] == list(range(1, 17))
    assert len(project.history().choices) == 16


# What is dropped


def test_the_current_take_is_dropped_beside_the_video(project: TakeFolder) -> None:
    target = project.folder.with_name("clip.mid")
    assert publish(project, Outputs()).written == (target,)
    assert target.read_bytes() == midi_bytes(piece())
    project.add([draft(61)])
    assert publish(project, Outputs()).written == (target,)
    assert target.read_bytes() == midi_bytes(piece(61))
    project.undo()
    publish(project, Outputs())
    assert target.read_bytes() == midi_bytes(piece())


def test_an_edited_file_is_left_alone(project: TakeFolder) -> None:
    target = project.folder.with_name("clip.mid")
    publish(project, Outputs())
    target.write_bytes(b"mine")
    project.add([draft(61)])
    dropped = publish(project, Outputs())
    assert dropped.left == (target,)
    assert dropped.written == (target.with_name("clip take 2.mid"),)
    assert target.read_bytes() == b"mine"
    assert publish(project, Outputs()) == dropped  # a second time nothing more
    dropped.written[0].write_bytes(b"mine too")
    publish(project, Outputs())
    assert dropped.written[0].read_bytes() == b"mine too"
    assert target.with_name("clip take 2 (2).mid").read_bytes() == midi_bytes(piece(61))


def test_files_are_dropped_where_a_session_wants_them(project: TakeFolder) -> None:
    outputs = Outputs(drop="../session ü/midi", files=("midi", "score"), host="garageband")
    written = publish(project, outputs).written
    folder = project.folder.parent / "../session ü/midi"
    assert written == (folder / "clip 120.00 BPM.mid", folder / "clip.score.json")
    assert all(path.is_file() for path in written)
    assert publish(project, Outputs(drop="")).written == ()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="nothing is closed to root")
def test_a_folder_that_cannot_be_written_is_named(project: TakeFolder) -> None:
    closed = project.folder.with_name("closed")
    closed.mkdir(mode=0o500)
    with pytest.raises(OutputError, match="closed"):
        publish(project, Outputs(drop="closed"))


# Which project a path means


def test_a_take_folder_is_found_from_video_and_contents(project: TakeFolder) -> None:
    video = project.folder.with_name("clip.mp4")
    for path in (project.folder, video, project.folder / "take 1", project.folder / "take 1" / "clip.mid"):
        found = find_take_folder(path)
        assert found is not None
        assert found.folder == project.folder
    assert find_take_folder(project.folder.parent) is None
    assert find_take_folder(project.folder.with_name("other.mp4")) is None


def test_a_renamed_video_is_known_by_its_content(tmp_path: Path) -> None:
    from cmt_bridge.core.files import sha256_of

    (tmp_path / "clip.mp4").write_bytes(b"a video")
    TakeFolder.create(tmp_path / "clip.cmt", "clip.mp4", sha256_of(tmp_path / "clip.mp4"), [draft()])
    (tmp_path / "clip.mp4").rename(tmp_path / "film.mp4")
    found = find_take_folder(tmp_path / "film.mp4")
    assert found is not None
    assert found.folder.name == "clip.cmt"
    (tmp_path / "clip.mp4").write_bytes(b"another")
    (tmp_path / "clip.mov").write_bytes(b"a third")
    assert find_take_folder(tmp_path / "clip.mov") is None


def test_clips_of_one_name_have_projects_of_their_own(project: TakeFolder) -> None:
    mov = project.folder.with_name("clip.mov")
    assert folder_for_new(mov, "clip") == project.folder.with_name("clip.mov.cmt")
    TakeFolder.create(folder_for_new(mov, "clip"), "clip.mov", "def", [draft(70)])
    mov.write_bytes(b"x")
    found = find_take_folder(mov)
    assert found is not None
    assert found.folder.name == "clip.mov.cmt"
    assert found.current().midi.name == "clip.mov.mid"


# What differs


def test_bars_and_tracks_that_differ(project: TakeFolder) -> None:
    before = piece()
    piano = next(track for track in before.tracks if track.instrument is Instrument.PIANO)
    moved = replace(piano, notes=tuple(replace(n, pitch=n.pitch + (16 <= n.onset < 48)) for n in piano.notes))
    after = replace(before, tracks=tuple(moved if t is piano else t for t in before.tracks))
    project.add([replace(draft(), score=after)])
    (found,) = diff(project.take(1), project.take(2)).tracks
    assert (found.track, found.bars, found.only_first, found.only_second) == ("Piano", (2, 3), 8, 8)
    assert found.also == {}
    same = diff(project.take(1), project.take(1))
    assert (same.tracks, same.also, same.tempo) == ((), {}, (120.0, 120.0))


def midi(*events: tuple[int, str], division: int = 480, name: str = "Piano", head: str = "") -> bytes:
    """Give a MIDI file of one track: events as file tick and hex."""
    told = [(0, bytes.fromhex(head))] if head else []
    titled = (0, meta_event(TRACK_NAME, name.encode()))
    end = (max((tick for tick, _ in events), default=0), meta_event(END_OF_TRACK))
    return file_of(1, division, [chunk_of([titled, *told, *((t, bytes.fromhex(data)) for t, data in events), end])])


def compared(project: TakeFolder, first: bytes, second: bytes) -> Diff:
    takes = [project.add([replace(draft(key=str(data)), midi=data)])[0] for data in (first, second)]
    return diff(*takes)


NOTES = ((160, "903c50"), (220, "803c00"), (2000, "903e50"), (2400, "803e00"))


def test_takes_equal_in_other_ticks_do_not_differ(project: TakeFolder) -> None:
    finer = tuple((2 * tick, data) for tick, data in NOTES)
    found = compared(project, midi(*NOTES), midi(*finer, division=960))
    assert (found.tracks, found.also) == ((), {})


def test_notes_that_differ_by_less_than_a_sixteenth_differ(project: TakeFolder) -> None:
    (found,) = compared(project, midi(*NOTES), midi((161, "903c50"), *NOTES[1:])).tracks
    assert (found.bars, found.only_first, found.only_second) == ((1,), 1, 1)


@pytest.mark.parametrize(
    ("events", "kind", "bars"),
    [
        (((160, "b0407f"), (2200, "b04000")), "controllers", (1, 2)),
        (((1921, "e00050"),), "pitch bends", (2,)),
        (((0, "c005"),), "programs", (1,)),
        (((2000, "d020"),), "pressure", (2,)),
        (((2000, "a03c20"),), "key pressure", (2,)),
        (((2000, "f0027ef7"),), "system exclusives", (2,)),
    ],
)
def test_what_is_no_note_differs_by_its_kind(
    project: TakeFolder, events: tuple[tuple[int, str], ...], kind: str, bars: tuple[int, ...]
) -> None:
    (found,) = compared(project, midi(*NOTES), midi(*sorted((*NOTES, *events)))).tracks
    assert (found.bars, found.only_first, found.only_second, found.also) == ((), 0, 0, {kind: bars})


def test_a_program_that_is_there_already_is_no_difference(project: TakeFolder) -> None:
    assert compared(project, midi(*NOTES), midi((0, "c000"), *NOTES)).tracks == ()


def test_tracks_that_only_one_take_has_are_named(project: TakeFolder) -> None:
    (lost, won) = compared(project, midi(*NOTES, name="Piano"), midi(*NOTES, name="SFX")).tracks
    assert (lost.track, lost.only_first, lost.only_second) == ("Piano", 2, 0)
    assert (won.track, won.only_first, won.only_second, won.bars) == ("SFX", 0, 2, (1, 2))


@pytest.mark.parametrize(
    ("head", "also"),
    [
        ("ff510309 27c1".replace(" ", ""), {"tempo": (1,)}),
        ("ff580403021808", {"metre": (1,)}),
        ("ff0605" + b"Verse".hex(), {"markers": (1,)}),
    ],
)
def test_tempo_metre_and_markers_that_differ_are_told(
    project: TakeFolder, head: str, also: dict[str, tuple[int, ...]]
) -> None:
    found = compared(project, midi(*NOTES), midi(*NOTES, head=head))
    assert (found.tracks, found.also) == ((), also)


def test_bars_are_counted_in_the_metre_of_the_file(project: TakeFolder) -> None:
    three = "ff580403021808"
    (found,) = compared(project, midi(*NOTES, head=three), midi(*NOTES[:2], head=three)).tracks
    assert found.bars == (2,)
    (found,) = compared(project, midi(*NOTES[2:], (4300, "903c50"), head=three), midi(*NOTES[2:], head=three)).tracks
    assert found.bars == (3,)
