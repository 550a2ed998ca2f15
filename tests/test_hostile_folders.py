"""One table of folders that came from somebody who means harm: nothing is written outside, nothing leaks, all is said.

Each row makes of a scored clip what its name says. Then all is done with it that can be done without a model.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from click import ClickException

from cmt_bridge.config import CONFIG_VARIABLE, Outputs, read_config, watched
from cmt_bridge.core.files import opened
from cmt_bridge.errors import CmtBridgeError, InputError, ScoreError, UsageError
from cmt_bridge.outputs.midi import midi_bytes
from cmt_bridge.scoring.delivery import dropped
from cmt_bridge.scoring.export import add_to, export
from cmt_bridge.takes.locate import find_take_folder
from cmt_bridge.takes.take_folder import TakeFolder
from tests.clips import panning, write_clip
from tests.fuzz.folders import deeds, scored_clip
from tests.projects.films import score_of

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links and pipes are made as POSIX has them")

SECRET = b"SECRET of the person, which nobody else may read"
TOML = '[outputs]\nfiles = ["midi", "score", "preview"]\nproject = ["reaper"]\ndrop = '


DONE_ALIKE = ("takes --json", "undo", "redo", "music", "export dawproject", "export garageband", "export csv")
"""What reads and writes as something else does."""


@dataclass(frozen=True)
class Place:
    """A received folder with its clip, and a place of the person's that is not in it."""

    clip: Path
    outside: Path

    @property
    def project(self) -> Path:
        return self.clip.with_suffix(".cmt")

    @property
    def secret(self) -> Path:
        return self.outside / "secret.txt"

    def drop(self, place: str) -> None:
        (self.clip.parent / "cmt-bridge.toml").write_text(TOML + json.dumps(place) + "\n")

    def link(self, name: str, target: Path | None = None) -> None:
        """Put a link where something is, or nothing."""
        path = self.clip.parent / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        path.symlink_to(self.secret if target is None else target)

    def pipe(self, name: str) -> None:
        path = self.clip.parent / name
        path.unlink(missing_ok=True)
        os.mkfifo(path)

    def edit(self, name: str, change: Callable[[dict], None]) -> None:  # type: ignore[type-arg]
        path = self.project / name
        data = json.loads(path.read_bytes())
        change(data)
        path.write_text(json.dumps(data))


def _planted(place: Place) -> None:
    """Have a file in a take that is recorded there, as whoever made the folder can do."""
    place.drop("MIDI")
    for name in ("clip.preview.pth", "clip.preview.mp4.py", "x.preview.desktop", "clip.pth"):
        path = place.project / "take 1" / name
        path.write_bytes(b"import os")
        place.edit(
            "take 1/take.json",
            lambda data, path=path: data["files"].update({path.name: hashlib.sha256(path.read_bytes()).hexdigest()}),
        )


def _exchanged(place: Place) -> None:
    place.drop("MIDI")
    (place.project / "take 1" / "clip.mid").write_bytes(midi_bytes(score_of(shift=9)))


def _unrecorded(place: Place) -> None:
    """Have a take of before its files were recorded, whose MIDI file is none."""
    place.drop("MIDI")
    place.edit("take 1/take.json", lambda data: data.pop("files"))
    (place.project / "take 1" / "clip.mid").write_bytes(b"#!/bin/sh\n")


def _named(*names: str) -> Callable[[Place], None]:
    def build(place: Place) -> None:
        place.edit("project.json", lambda data: data.update(videos=[{"name": n, "sha256": "a" * 64} for n in names]))

    return build


def _recorded_elsewhere(place: Place) -> None:
    digest = hashlib.sha256(SECRET).hexdigest()
    place.edit("take 1/take.json", lambda data: data.update(files={"../../../outside/secret.txt": digest}))


def _moved(place: Place) -> None:
    shutil.move(place.project, place.outside / "clip.cmt")
    place.project.symlink_to(place.outside / "clip.cmt")


def _take_moved(place: Place) -> None:
    shutil.move(place.project / "take 1", place.outside / "take 1")
    (place.project / "take 1").symlink_to(place.outside / "take 1")


LINK = "is a link, and in a project none is followed"
LEADS = "outputs.drop, .*leads to"

ROWS: dict[str, tuple[Callable[[Place], object], str]] = {
    "drop: absolute": (lambda place: place.drop(str(place.outside)), LEADS),
    "drop: above": (lambda place: place.drop("../outside"), LEADS),
    "drop: far above": (lambda place: place.drop("../" * 40 + "tmp"), LEADS),
    "drop: home": (lambda place: place.drop("~"), LEADS),
    "drop: of somebody": (lambda place: place.drop("~root/x"), ""),
    "drop: by a link": (lambda place: (place.drop("Session"), place.link("Session", place.outside)), LEADS),
    "drop: below a link": (lambda place: (place.drop("Session/new"), place.link("Session", place.outside)), LEADS),
    "drop: by two links": (
        lambda place: (place.drop("a/x"), place.link("b", place.outside), place.link("a", place.clip.with_name("b"))),
        LEADS,
    ),
    "drop: hidden": (lambda place: place.drop(".config/autostart"), LEADS),
    "drop: into takes": (lambda place: place.drop("clip.cmt/take 1"), LEADS),
    "a program among the previews": (_planted, ""),
    "another MIDI file than was written": (_exchanged, "is not as it was written into the take"),
    "what is no MIDI file": (_unrecorded, "is not as it was written into the take"),
    "files of other folders recorded": (_recorded_elsewhere, "names files of other folders"),
    "link: MIDI": (lambda place: (place.drop("MIDI"), place.link("clip.cmt/take 1/clip.mid")), LINK),
    "link: MIDI of another take": (
        lambda place: place.link("clip.cmt/take 2/clip.mid"),
        "is not as it was written into the take",
    ),
    "link: score": (lambda place: (place.drop("MIDI"), place.link("clip.cmt/take 1/score.json")), LINK),
    "link: metadata": (lambda place: place.link("clip.cmt/take 1/metadata.json"), LINK),
    "link: copied score": (lambda place: place.link("clip.cmt/score.json"), ""),
    "link: facts": (lambda place: place.link("clip.cmt/take 1/take.json"), LINK),
    "link: history": (lambda place: place.link("clip.cmt/history.json"), LINK),
    "link: project": (lambda place: place.link("clip.cmt/project.json"), LINK),
    "link: lock": (lambda place: place.link("clip.cmt/.lock"), LINK),
    "link: a take": (_take_moved, LINK),
    "link: the project folder": (_moved, LINK),
    "link: what was being written": (
        lambda place: (place.link("clip.cmt/.x.0123abcd.part", place.outside), place.link(".x.0123abcd.part")),
        "",
    ),
    "link: to nowhere": (lambda place: place.link("clip.cmt/history.json", place.outside / "none"), LINK),
    "link: a device": (lambda place: place.link("clip.cmt/take 1/clip.mid", Path("/dev/zero")), LINK),
    "link: in the session": (lambda place: (place.drop("."), place.link("clip.mid")), "was changed by somebody"),
    "link: to nowhere in the session": (
        lambda place: (place.drop("."), place.link("clip.mid", place.outside / "new.mid")),
        "was changed by somebody",
    ),
    "link: the folder of parts": (lambda place: place.link("clip parts", place.outside), "is a link to another folder"),
    "link: the film": (lambda place: place.link("clip.mp4"), ""),
    "a version without end": (
        lambda place: place.edit("project.json", lambda data: data.update(format_version=float("inf"))),
        "is damaged",
    ),
    "film: above": (_named("../outside/secret.txt"), "is damaged"),
    "film: absolute": (_named("/etc/passwd"), "is damaged"),
    "film: on another system": (_named("..\\..\\secret.txt", "C:\\x.mp4"), "is damaged"),
    "film: a folder": (_named(".."), "is damaged"),
    "pipe: MIDI": (lambda place: place.pipe("clip.cmt/take 1/clip.mid"), "it is no file"),
    "pipe: facts": (lambda place: place.pipe("clip.cmt/take 1/take.json"), "it is no file"),
    "pipe: history": (lambda place: place.pipe("clip.cmt/history.json"), "it is no file"),
    "pipe: project": (lambda place: place.pipe("clip.cmt/project.json"), "it is no file"),
    "bars without end": (
        lambda place: place.edit("take 1/take.json", lambda data: data["request"].update(bars=[[1, 10**12]])),
        "1,000,000,000,000 bars",
    ),
    "a score without end": (
        lambda place: place.edit("take 1/score.json", lambda data: data.update(bars=10**9)),
        "is damaged: 1000000000 bars",
    ),
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_bytes(SECRET)
    monkeypatch.setenv("HOME", str(outside))
    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path / "config"))
    clip = scored_clip(tmp_path / "received")
    (clip.parent / "cmt-bridge.toml").unlink()
    return Place(clip, outside)


def _state(folder: Path) -> dict[str, object]:
    """Give all that is in a folder, without following a link."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        kind = stat.S_IFMT(mode)
        found[path.relative_to(folder).as_posix()] = path.read_bytes() if stat.S_ISREG(mode) else kind
    return found


def _done(clip: Path) -> str:
    """Do all that can be done with a clip; give what was said, all of which was said on purpose."""
    said = []
    for name, do in deeds(clip):
        if name in DONE_ALIKE:
            continue
        try:
            result = do()
        except (CmtBridgeError, ClickException) as error:
            said.append(str(error))
        else:
            said.append(json.dumps(result, default=str))
    return "\n".join(said)


@pytest.mark.parametrize("name", ROWS)
def test_a_received_folder_does_no_harm(place: Place, name: str) -> None:
    build, says = ROWS[name]
    build(place)
    before = _state(place.outside)
    said = _done(place.clip)
    assert _state(place.outside) == before
    inside = _state(place.clip.parent)
    written = {path: data for path, data in inside.items() if isinstance(data, bytes)}
    assert not [path for path, data in written.items() if SECRET in data]
    assert not [path for path in written if Path(path).suffix in (".pth", ".py", ".desktop") and "take 1" not in path]
    for path, data in written.items():
        if Path(path).suffix in (".RPP", ".otio", ".edl", ".ardour"):
            assert b"passwd" not in data, path
            assert b"secret.txt" not in data, path
            assert b"outside" not in data, path
    assert SECRET.decode() not in said
    assert re.search(says, said), said


def test_a_take_of_before_its_files_were_recorded_is_dropped(place: Place) -> None:
    place.edit("take 1/take.json", lambda data: data.pop("files"))
    project = TakeFolder(place.project)
    written, notes = dropped(project, replace(Outputs(), files=("midi", "score", "preview")))
    assert [Path(path).name for path in written] == ["clip.mid", "clip.score.json"]
    assert notes == []


def test_a_video_elsewhere_is_copied_only_on_consent(place: Place) -> None:
    from cmt_bridge.scoring.delivery import delivered

    film = place.outside / "private.mp4"
    write_clip(film, panning(1, 25, 30))
    place.link("clip.mp4", film)
    project = TakeFolder(place.project)
    outcome = delivered(
        project, [project.take(1)], replace(Outputs(), files=("preview",)), place.clip, notes=[], seconds={}
    )
    assert "is a link to another folder" in " ".join(outcome.notes)
    assert not list(place.clip.parent.rglob("*.preview.*"))


def test_a_damaged_neighbour_does_not_refuse_a_clip(place: Place) -> None:
    other = place.clip.with_name("other.mp4")
    other.write_bytes(b"another video")
    (place.project / "project.json").write_text("[")
    assert find_take_folder(other) is None
    with pytest.raises(ScoreError, match=r"project\.json"):
        find_take_folder(place.clip)


def test_an_honest_folder_gets_all_it_asks_for(place: Place) -> None:
    place.drop("MIDI")
    said = _done(place.clip)
    assert {"clip.RPP", "clip.mid", "clip.score.json"} <= {path.name for path in (place.clip.parent / "MIDI").iterdir()}
    assert (place.clip.parent / "clip.RPP").is_file()
    assert "link" not in said


def test_a_folder_may_publish_within_the_watched_folder(place: Place, tmp_path: Path) -> None:
    place.drop("../Session/MIDI")
    project = TakeFolder(place.project)
    assert dropped(project, read_config(place.clip.parent).outputs)[0] == []
    with watched(tmp_path):
        written, notes = dropped(project, read_config(place.clip.parent).outputs)
    assert str(tmp_path / "Session" / "MIDI" / "clip.mid") in written
    assert notes == []


def test_the_person_may_allow_a_place(place: Place, tmp_path: Path) -> None:
    place.drop("~/Session")
    project = TakeFolder(place.project)
    (_, (note,)) = dropped(project, read_config(place.clip.parent).outputs)
    assert "places of [outputs] in" in note
    (tmp_path / "config").mkdir()
    own = tmp_path / "config" / "settings.toml"
    own.write_text('[outputs]\nplaces = ["~/Session"]\n')
    written, _ = dropped(project, read_config(place.clip.parent).outputs)
    assert str(place.outside / "Session" / "clip.mid") in written
    (place.clip.parent / "cmt-bridge.toml").unlink()
    own.write_text('[outputs]\ndrop = "~/Mine"\n')  # what the person says goes anywhere
    written, _ = dropped(project, read_config(place.clip.parent).outputs)
    assert str(place.outside / "Mine" / "clip.mid") in written


def test_only_the_person_allows_places(place: Place) -> None:
    (place.clip.parent / "cmt-bridge.toml").write_text('[outputs]\nplaces = ["/"]\ndrop = "/tmp"\n')
    with pytest.raises(UsageError, match=r"no setting outputs\.places"):
        read_config(place.clip.parent)


def test_nothing_is_added_through_a_symlink(place: Place) -> None:
    (made,) = export(place.clip, ["ardour"])
    session = next(made.path.glob("*.ardour"))
    midi = next((made.path / "interchange").glob("*/midifiles"))
    shutil.rmtree(midi)
    midi.symlink_to(place.outside)
    before = _state(place.outside)
    with pytest.raises(InputError, match="is a link"):
        add_to(session, place.clip)
    assert _state(place.outside) == before


def test_a_title_leads_to_no_other_folder(place: Place) -> None:
    from cmt_bridge.takes.write import write_take

    folder = write_take(score_of(), None, "../../outside/evil", place.clip.parent / "music")
    assert [path.name for path in folder.glob("*.mid")] == [".._.._outside_evil.mid"]
    assert "evil.mid" not in _state(place.outside)


def test_what_a_project_says_of_films_leads_a_daemon_nowhere(place: Place) -> None:
    from cmt_bridge.service.finder import Finder

    finder = Finder(place.clip.parent, None, lambda: None)  # type: ignore[arg-type]  # the table is not asked here
    assert finder._changed_projects(("clip.cmt",)) == [("a" * 64, "clip.mp4", "clip.cmt")]
    for build in (_named("../outside/secret.txt"), lambda place: place.pipe("clip.cmt/project.json")):
        build(place)
        finder = Finder(place.clip.parent, None, lambda: None)  # type: ignore[arg-type]
        assert finder._changed_projects(("clip.cmt",)) == []


def test_links_outside_of_projects_are_the_persons_and_followed(tmp_path: Path) -> None:
    (tmp_path / "a.mid").write_bytes(b"x")
    (tmp_path / "b.mid").symlink_to(tmp_path / "a.mid")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "c.cmt").mkdir()
    (tmp_path / "c.cmt" / "d").write_bytes(b"y")
    (tmp_path / "elsewhere" / "here").symlink_to(tmp_path)
    for path in (tmp_path / "b.mid", tmp_path / "elsewhere" / "here" / "c.cmt" / "d"):
        with opened(path) as file:
            assert file.read() in (b"x", b"y")


def test_files_open_alike_without_openat(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cmt_bridge.core.files._BENEATH", False)
    with opened(place.project / "history.json") as file:
        assert json.loads(file.read())
    with pytest.raises(FileNotFoundError):
        opened(place.project / "none.json")
    place.link("clip.cmt/history.json")
    _take_moved(place)
    for path in (place.project / "history.json", place.project / "take 1" / "clip.mid"):
        with pytest.raises(OSError, match="it is a link"):
            opened(path)
