"""Takes become projects beside the video; nothing that is there is touched."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import mido
import pytest

from cmt_bridge.config import Outputs
from cmt_bridge.core.files import sha256_of
from cmt_bridge.core.hosts import HOSTS
from cmt_bridge.core.metadata import Cut, VideoMetadata, VideoSource
from cmt_bridge.errors import ScoreError, UsageError
from cmt_bridge.midi.events import MARKER, META, TEXT, TEXTS, chunk_of, file_of, meta_event
from cmt_bridge.midi.file import read_midi
from cmt_bridge.midi.line import read_markers
from cmt_bridge.outputs.midi import midi_bytes
from cmt_bridge.scoring.delivery import dropped
from cmt_bridge.scoring.export import FORMATS, arrangement_of, export, format_of, music_of
from cmt_bridge.scoring.pipeline import titled
from cmt_bridge.takes.locate import find_take_folder, folder_for_new
from cmt_bridge.takes.publish import publish
from cmt_bridge.takes.take import NewTake, TakeInfo
from cmt_bridge.takes.take_folder import TakeFolder
from tests.projects.films import edited_midi, score_of

Run = Callable[..., tuple[int, str, str]]
MADE = "2026-01-02T03:04:05+00:00"
METADATA = VideoMetadata(
    VideoSource("Der Film.mp4", "abc", 1280, 720, 0, (25, 1), 200),
    8.0,
    120.0,
    "given",
    (),
    (Cut(1.25, 1.0),),
    (1.0,) * 4,
)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Give a clip with three takes, the third of which is current, and the second rejected."""
    folder = tmp_path / "My films"
    folder.mkdir()
    clip = folder / "Der Film.mp4"
    clip.write_bytes(b"a video")
    drafts = [
        NewTake(
            score_of(shift=shift, frame_rate=(25, 1)),
            TakeInfo("score", "2026-01-02T03:04:05+00:00", f"k{shift}", shift),
            METADATA,
        )
        for shift in range(3)
    ]
    project = TakeFolder.create(folder / "Der Film.cmt", clip.name, "abc", drafts[:1])
    for draft in drafts[1:]:
        project.add([draft])
    project.reject(2)
    return clip


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_every_format_is_written_beside_the_video(clip: Path) -> None:
    before = files(clip.parent)
    made = export(clip, FORMATS)
    assert {each.format for each in made} == FORMATS.keys()
    assert {each.path.name for each in made} == {
        "Der Film.RPP",
        "Der Film.dawproject",
        "Der Film ardour",
        "Der Film.mid",
        "Der Film 119.41 BPM.mid",
        "Der Film.otio",
        "Der Film hits.csv",
        "Der Film.edl",
        "Drums take 3.mid",
        "Piano take 3.mid",
        "Guitar take 3.mid",
        "Bass take 3.mid",
        "Strings take 3.mid",
    }
    after = files(clip.parent)
    assert {name: after[name] for name in before} == before
    assert (clip.parent / "Der Film.mid").read_bytes() == (
        clip.parent / "Der Film.cmt/take 3/Der Film.mid"
    ).read_bytes()
    assert b'FILE "Der Film.mp4"' in after["Der Film.RPP"]
    assert str(clip.parent).encode() not in b"".join(data for name, data in after.items() if ".cmt" not in name)
    assert (clip.parent / "Der Film ardour" / "Der Film.ardour").is_file()


def test_existing_files_stay_and_equals_are_not_rewritten(clip: Path) -> None:
    (first,) = export(clip, ["reaper"])
    (again,) = export(clip, ["reaper"])
    assert (again.path, again.fresh) == (first.path, False)
    first.path.write_text("edited in REAPER")
    (third,) = export(clip, ["reaper"])
    assert (third.path.name, third.fresh) == ("Der Film take 3.RPP", True)
    assert first.path.read_text() == "edited in REAPER"
    third.path.write_text("edited too")
    (fourth,) = export(clip, ["reaper"])
    assert fourth.path.name == "Der Film take 3 (2).RPP"
    sessions = [export(clip, ["ardour"])[0].path.name for _ in range(2)]
    assert sessions == ["Der Film ardour", "Der Film ardour take 3"]


def test_the_takes_are_those_that_were_not_rejected(clip: Path) -> None:
    arrangement, _, number = arrangement_of(clip)
    assert number == 3
    assert [version.name for version in arrangement.versions] == ["take 1", "take 3"]
    assert arrangement.version.name == "take 3"
    arrangement, _, number = arrangement_of(clip.with_suffix(".cmt"), 2)
    assert ([version.name for version in arrangement.versions], number) == (["take 1", "take 2", "take 3"], 2)
    assert arrangement.version.name == "take 2"
    assert arrangement.film is not None
    assert (arrangement.film.path, arrangement.film.width) == (clip, 1280)


def test_an_edited_take_is_exported_as_it_was_edited(clip: Path) -> None:
    project = TakeFolder(clip.with_suffix(".cmt"))
    draft = NewTake(
        score_of(), TakeInfo("regenerate", "2026-01-02T03:04:05+00:00", "e", 9, edited=True), METADATA, edited_midi()
    )
    project.add([draft])
    music = music_of(clip)
    assert (music["take"], music["division"]) == (4, 960)
    (part,) = music["parts"]
    assert part["name"] == "Lead – 1"
    assert part["notes"] == [[7, 961, 2, 60, 81], [961, 3500, 2, 60, 82]]
    assert [5, "b20b40"] in part["events"]
    versions = arrangement_of(clip)[0].versions
    assert [(version.name, version.is_moved) for version in versions] == [
        ("take 1", True),
        ("take 3", True),
        ("take 4", False),
    ]
    for name in ("reaper", "ardour"):
        (made,) = export(clip, [name])
        assert made.notes == (
            "take 1 and take 3 have another tempo than take 4: "
            "every note is where its time is in the film, off the bars.",
        )
    assert export(clip, ["csv"])[0].notes == ()
    (made,) = export(clip, ["dawproject"])
    assert made.to_json()["notes"] == [
        "A DAWproject holds one take, which is take 4: choose another, or name it by --take, for the others."
    ]


def test_music_is_given_note_by_note(clip: Path) -> None:
    music = json.loads(json.dumps(music_of(clip, 1)))
    assert (music["take"], music["title"], music["division"], music["duration"]) == (1, "Der Film", 480, 8.0)
    assert music["tempos"][0] == [0, 500_000]
    assert [part["name"] for part in music["parts"]] == ["Drums", "Piano", "Guitar", "Bass", "Strings"]
    track = score_of().tracks[1]
    assert music["parts"][1]["notes"] == [
        [n.onset * 120, n.end * 120, 0, n.pitch, n.velocity] for n in sorted(track.notes)
    ]
    assert music["markers"][0] == [1.2512, "cut", "Cut 1"]
    assert music["sections"][0][2] == "Section A (calm)"


def test_without_the_video_there_is_only_music(clip: Path) -> None:
    clip.unlink()
    arrangement, _, _ = arrangement_of(clip.with_suffix(".cmt"))
    assert arrangement.film is None
    (made,) = export(clip.with_suffix(".cmt"), ["reaper"])
    assert "VIDEO" not in made.path.read_text().replace("VIDEO_CONFIG", "")


def test_each_host_gets_what_suits_it() -> None:
    assert {name: format_of(name).name for name in HOSTS} == {name: host.project for name, host in HOSTS.items()}
    with pytest.raises(UsageError, match="no project of the kind 'word'"):
        format_of("word")


def test_what_has_no_takes_cannot_be_exported(tmp_path: Path) -> None:
    (tmp_path / "new.mp4").write_bytes(b"")
    for name in ("new.mp4", "none.mp4"):
        with pytest.raises(ScoreError, match=name):
            export(tmp_path / name, ["reaper"])


def test_the_command_line_writes_where_it_is_told(run: Run, clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "Session 1"
    code, printed, said = run("export", clip, "--project", "REAPER, csv", "--start", "01:00:00", "-o", out)
    assert (code, said) == (0, "")
    assert [Path(line).name for line in printed.splitlines()] == ["Der Film.RPP", "Der Film hits.csv"]
    text = (out / "Der Film.RPP").read_text()
    assert "PROJOFFS 3600 0 0" in text
    for name in ("midi", "logic", "live", "garageband"):
        code, printed, said = run("export", clip, "--project", name, "--start", "01:00:00:05", "-o", out / name)
        assert (code, said) == (0, "")
        (offset,) = (m for track in mido.MidiFile(printed.strip()).tracks for m in track if m.type == "smpte_offset")
        assert (offset.frame_rate, offset.hours, offset.frames) == (25, 1, 5)
    code, printed, said = run("export", clip, "--project", "dawproject", "--start", "01:00:00:05", "-o", out)
    assert "no place for timecode: that it begins at 01:00:00:05 is not in it" in said
    code, printed, said = run("export", clip, "--project", "edl,midi", "--rate", "50", "-o", out)
    assert said.strip() == "MIDI does not count 50 frames a second, but 25: a label for every 2 pictures."
    assert 'FILE "../My films/Der Film.mp4"' in text
    code, printed, said = run("export", clip, "--project", "all", "-o", out, "--take", "1", "--json")
    found = json.loads(printed)["files"]
    assert {each["format"] for each in found} == FORMATS.keys()
    assert "take 1" in next(each["path"] for each in found if each["format"] == "reaper")
    for wrong in (["--start", "25:00:00"], ["--start", "00:00:01:25"], ["--start", "01:00:00;00"], ["--rate", "12.5"]):
        code, _, said = run("export", clip, "--project", "csv", *wrong)
        assert (code, said.count("Traceback")) == (2, 0)
        assert wrong[1] in said
    assert run("export", clip, "--project", "word")[0] == 2
    assert run("export", clip, "--project", "reaper", "--take", "9")[0] == 2
    assert run("export", clip)[0] == 2


def test_a_folder_may_want_projects_of_every_take(clip: Path) -> None:
    from cmt_bridge.config import read_config

    (clip.parent.parent / "cmt-bridge.toml").write_text('[outputs]\ndrop = "../Drop"\nproject = ["reaper", "csv"]\n')
    project = TakeFolder(clip.with_suffix(".cmt"))
    outputs = read_config(clip.parent).outputs
    written, notes = dropped(project, outputs)
    assert {Path(path).name for path in written} == {"Der Film.mid", "Der Film.RPP", "Der Film hits.csv"}
    assert notes == []
    project.choose(1)
    written, _ = dropped(project, outputs)
    assert "Der Film take 1.RPP" in {Path(path).name for path in written}
    for path in (clip.parent.parent / "Drop").iterdir():
        path.unlink()
    (clip.parent.parent / "Drop").rmdir()
    (clip.parent.parent / "Drop").write_text("a file, not a folder")
    with pytest.raises(Exception, match="Drop"):
        dropped(project, replace(outputs, projects=()))


def test_a_folder_may_say_in_which_timecode_its_projects_count(run: Run, clip: Path) -> None:
    config = clip.parent / "cmt-bridge.toml"
    config.write_text('[outputs]\nstart = "01:00:00;00"\nrate = 29.97\n')
    (made,) = export(clip, ["reaper"])
    assert re.search(r"PROJOFFS 3599\.9964\d* 0 0\n +TIMEMODE 1 5 -1 30 1 0 -1", made.path.read_text())
    _, printed, _ = run("export", clip, "--project", "edl", "--start", "10:00:00:00", "--rate", "24")
    assert "10:00:00:00 10:00:01:06\n" in Path(printed.strip()).read_text()
    for said, why in (
        ('start = "noon"', "outputs.start"),
        ("start = 1", "outputs.start"),
        ("rate = 12.5", "outputs.rate"),
    ):
        config.write_text(f"[outputs]\n{said}\n")
        with pytest.raises(UsageError, match=why):
            export(clip, ["reaper"])


@pytest.mark.parametrize("kind", [*FORMATS, *HOSTS])
def test_every_kind_of_project_can_be_wanted_in_toml(clip: Path, kind: str) -> None:
    from cmt_bridge.config import read_config

    (clip.parent / "cmt-bridge.toml").write_text(f'[outputs]\nproject = "{kind}"\n')
    outputs = read_config(clip.parent).outputs
    assert outputs.projects == (format_of(kind).name,)
    written, notes = dropped(TakeFolder(clip.with_suffix(".cmt")), outputs)
    assert len(written) > 1
    assert not [note for note in notes if note.startswith("No project")]


@pytest.mark.parametrize("said", ['project = "word"', "project = 3", 'project = ["reaper", 1]'])
def test_a_project_that_is_none_is_refused(clip: Path, said: str) -> None:
    from cmt_bridge.config import read_config

    (clip.parent / "cmt-bridge.toml").write_text(f"[outputs]\n{said}\n")
    with pytest.raises(UsageError, match=r"outputs\.project"):
        read_config(clip.parent)


def test_the_midi_of_a_take_is_what_logic_opens(clip: Path) -> None:
    (made,) = export(clip, ["logic"])
    assert made.path.read_bytes() == midi_bytes(score_of(shift=2, frame_rate=(25, 1)))


def test_music_is_added_to_a_project_that_is_there(run: Run, clip: Path, tmp_path: Path) -> None:
    from tests.projects.test_reaper import THEIRS

    theirs = tmp_path / "Mine" / "My film.RPP"
    theirs.parent.mkdir()
    theirs.write_text(THEIRS)
    code, printed, _ = run("export", clip, "--into", theirs, "--at", "7.625")
    assert (code, Path(printed.strip()).name) == (0, "My film with Der Film.RPP")
    text = (theirs.parent / "My film with Der Film.RPP").read_text()
    assert theirs.read_text() == THEIRS
    assert text.startswith(THEIRS[:-2])
    assert 'FILE "../My films/Der Film.mp4"' in text
    assert "POSITION 7.625\n" in text
    assert Path(run("export", clip, "--into", theirs)[1].strip()).name == "My film with Der Film take 3.RPP"
    for wrong in (["--into", theirs, "--project", "reaper"], [], ["--into", theirs, "--at", "soon"], ["--into", clip]):
        assert run("export", clip, *wrong)[0] == 2
    assert run("export", clip, "--into", tmp_path / "none.RPP")[0] == 3
    (tmp_path / "x.ardour").write_text("<Session/>")
    assert run("export", clip, "--into", tmp_path / "x.ardour")[0] == 3
    assert not [each for each in tmp_path.iterdir() if "with" in each.name]


def test_music_is_added_to_a_session_as_a_snapshot(run: Run, clip: Path, tmp_path: Path) -> None:
    (made,) = export(clip, ["ardour"], folder=tmp_path)
    session = made.path / "Der Film.ardour"
    text = session.read_text()
    session.write_text(text.replace('<Session version="7002"', '<Session version="7002" ', 1))
    before = files(made.path)
    code, printed, said = run("export", clip, "--into", session, "--take", "1")
    assert (code, said) == (0, "")
    assert Path(printed.strip()).name == "Der Film with Der Film.ardour"
    after = files(made.path)
    assert {name: after[name] for name in before} == before
    fresh = after.keys() - before.keys()
    assert len([name for name in fresh if name.endswith(".mid")]) == 5 * 2
    snapshot = after["Der Film with Der Film.ardour"].decode()
    assert all(Path(name).name in snapshot for name in fresh if name.endswith(".mid"))


def test_parts_are_written_once_and_what_was_edited_stays(clip: Path) -> None:
    made = export(clip, ["parts"])
    assert [each.path.parent.name for each in made] == ["Der Film parts"] * 5
    assert [each.fresh for each in export(clip, ["parts"])] == [False] * 5
    made[1].path.write_bytes(b"edited")
    again = export(clip, ["parts"])
    assert [each.fresh for each in again] == [False, True, False, False, False]
    assert again[1].path.name == "Piano take 3 (2).mid"
    assert made[1].path.read_bytes() == b"edited"
    assert len(export(clip, ["parts"], take=1)) == 5
    assert len(list(made[0].path.parent.iterdir())) == 11


@pytest.mark.parametrize("suffix", [".mp4", ".ts", ".m2ts"])
def test_a_clip_of_the_longest_name_gets_all_its_files(tmp_path: Path, suffix: str) -> None:
    names = [("日" * 90).encode()[: 254 - len(suffix)].decode(errors="ignore") + letter + suffix for letter in "ab"]
    for number, name in enumerate(names):
        clip = tmp_path / name
        clip.write_bytes(name.encode())
        draft = NewTake(
            score_of(shift=number, frame_rate=(25, 1)), TakeInfo("score", MADE, f"k{number}", number), METADATA
        )
        home = folder_for_new(clip, titled(clip.stem))
        project = TakeFolder.create(home, clip.name, sha256_of(clip), [draft])
        for take in (1, 2):
            made = export(clip, FORMATS, take=take)
            assert all(each.path.exists() for each in made)
            for _ in range(2):
                (written,) = publish(project, Outputs(files=("midi",), host="garageband", drop=".")).written
                written.write_bytes(b"edited")
            project.add([replace(draft, info=replace(draft.info, key=f"more {take}"))])
    found = [find_take_folder(tmp_path / name) for name in names]
    assert [project.videos()[0]["name"] for project in found if project] == names
    assert len({project.folder for project in found if project}) == 2


def test_a_project_whose_name_was_not_shortened_is_found(tmp_path: Path) -> None:
    clip = tmp_path / ("n" * 230 + ".mp4")
    clip.write_bytes(b"a video")
    project = TakeFolder.create(
        clip.with_suffix(".cmt"), clip.name, "another", [NewTake(score_of(), TakeInfo("score", MADE))]
    )
    found = find_take_folder(clip)
    assert found is not None
    assert found.folder == project.folder
    assert all(each.path.exists() for each in export(clip, ["midi", "ardour"]))


def test_exports_at_once_get_names_of_their_own(clip: Path) -> None:
    with ThreadPoolExecutor(6) as pool:
        made = [each for some in pool.map(lambda _: export(clip, ["ardour", "reaper"]), range(6)) for each in some]
    sessions = {each.path for each in made if each.format == "ardour"}
    assert len(sessions) == 6
    assert all(len(list(session.glob("*.ardour"))) == 1 for session in sessions)
    texts = {each.path.read_bytes() for each in made if each.format == "reaper"}
    assert len(texts) == 1  # which of them came first is all that differs
    assert not [path for path in clip.parent.iterdir() if path.name.startswith(".")]


def test_midi_files_can_be_in_ascii(clip: Path) -> None:
    """Other formats hold any text, and the take itself stays as it is."""
    names = ("midi", "parts", "garageband", "reaper")
    plain = export(clip, names, ascii_names=True)
    assert [each.path for each in export(clip, ["reaper"])] == [plain[-1].path]  # the same
    files = [each.path for each in plain if each.path.suffix == ".mid"]
    assert len(files) == 7
    for path in files:
        texts = [values for track in read_midi(path).tracks for _, kind, values in track.metas(*TEXTS) if kind != TEXT]
        assert texts
        assert all(text.isascii() for text in texts)
    assert "Schnitt - ??" in [text for _, text in read_markers(plain[0].path)]
    assert "Schnitt – 日本" in [text for _, text in read_markers(export(clip, ["midi"])[0].path)]


def test_markers_are_those_of_the_takes_file(clip: Path) -> None:
    """Somebody moved one and added one in the take."""
    project = TakeFolder(clip.with_suffix(".cmt"))
    midi = project.current().midi
    known = read_markers(midi)
    file = read_midi(midi)
    *conductor, end = [event for event in file.tracks[0].events if event[1][:2] != bytes((META, MARKER))]
    moved = [(tick + 100 if text == "Cut 1" else tick, text) for tick, text in (*known, (3_000, "Mine"))]
    conductor += [(tick, meta_event(MARKER, text.encode())) for tick, text in moved]
    tracks = [[*sorted(conductor, key=lambda event: event[0]), end], *(track.events for track in file.tracks[1:])]
    midi.write_bytes(file_of(file.kind, file.division, [chunk_of(track) for track in tracks]))
    arrangement, _, _ = arrangement_of(clip)
    marks = {mark.text: mark.seconds for mark in arrangement.markers}
    assert marks["Cut 1"] == pytest.approx(float(arrangement.seconds(dict(map(reversed, known))["Cut 1"] + 100)))
    assert marks["Hit 0.95"] == 5.5
    assert "Mine" in [span.name for span in arrangement.sections]
    assert "Mine" in export(clip, ["reaper"])[0].path.read_text()
