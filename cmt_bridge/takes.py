"""Project folders: NAME.cmt beside a video, with numbered takes that never change and one that is current.

    clip.cmt/project.json    which videos it is for
    clip.cmt/history.json    every choice of a take, so that it can be undone, and which takes were accepted or rejected
    clip.cmt/metadata.json   copies of the current take's, for those who look for them here
    clip.cmt/score.json
    clip.cmt/take 1/         clip.mid, score.json, metadata.json, take.json

A take is there as soon as its folder is. All else can be made again from the takes, so whatever moment a process is
killed at, nothing is lost and nothing is half there. What is dropped where a session wants it is a copy of the current
take's file; it is replaced as long as it is such a copy, and left alone once somebody edited it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

from filelock import FileLock, Timeout

from cmt_bridge.config import Outputs
from cmt_bridge.core.files import complete_folder, complete_path, fresh_path, is_temporary, sha256_of
from cmt_bridge.core.metadata import VideoMetadata
from cmt_bridge.core.score import Score
from cmt_bridge.core.tempo import TICKS_PER_BAR
from cmt_bridge.errors import OutputError, ScoreError, UsageError
from cmt_bridge.outputs.scorefile import METADATA_NAME, SCORE_NAME, read_json, read_score, write_json

__all__ = [
    "SUFFIX",
    "Choice",
    "Difference",
    "Draft",
    "Dropped",
    "Facts",
    "History",
    "Mark",
    "Project",
    "Take",
    "difference",
    "project_of",
    "projects_in",
]

SUFFIX: Final = ".cmt"
PROJECT, HISTORY, TAKE = "project.json", "history.json", "take.json"
FORMAT, VERSION = "cmt-bridge-project", 1
TAKE_FOLDER = re.compile(r"take ([1-9]\d*)")
PATIENCE = 60.0  # s, to wait for another process that is at work on the project; a take is written in far less

Mark = Literal["accepted", "rejected"]


@dataclass(frozen=True, slots=True)
class Facts:
    """How a take came to be.

    `verb` is `score` or `regenerate`, `made` the time in UTC, `origin` the take it was made from. `key` is the same for
    all takes of one request. `request` says what was asked for. `edited` tells that the MIDI file, which comes from one
    that was edited elsewhere, says more than score.json, which has its notes on the grid.
    """

    verb: str
    made: str
    key: str = ""
    seed: int = 0
    origin: int | None = None
    surprise: float | None = None
    edited: bool = False
    request: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "format": "cmt-bridge-take",
            "format_version": 1,
            "verb": self.verb,
            "made": self.made,
            "key": self.key,
            "seed": self.seed,
            "origin": self.origin,
            "surprise": self.surprise,
            "edited": self.edited,
            "request": dict(self.request),
        }

    @classmethod
    def from_json(cls, data: Any, *, source: str) -> Facts:
        """Read the JSON form. Raises `ScoreError` where it is none; `source` names the file."""
        try:
            return cls(
                verb=str(data["verb"]),
                made=str(data["made"]),
                key=str(data["key"]),
                seed=int(data["seed"]),
                origin=None if data["origin"] is None else int(data["origin"]),
                surprise=None if data["surprise"] is None else float(data["surprise"]),
                edited=bool(data["edited"]),
                request=dict(data["request"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ScoreError(f"{source} is damaged: {error!r}.", hint="Move its take away.") from error


@dataclass(frozen=True, slots=True)
class Take:
    """A take of a project: its number, its folder and how it came to be."""

    number: int
    folder: Path
    facts: Facts

    @property
    def midi(self) -> Path:
        """Its MIDI file. Raises `ScoreError` where somebody took it away."""
        found = sorted(self.folder.glob("*.mid"))
        if not found:
            raise ScoreError(f"{self.folder} holds no MIDI file.", hint="Choose another take.")
        return found[0]

    def score(self) -> Score:
        """Read its score. Raises `ScoreError`."""
        return read_score(self.folder)


@dataclass(frozen=True)
class Draft:
    """A take that is not written yet; `midi` are the bytes of its MIDI file where they do not come from the score."""

    score: Score
    facts: Facts
    metadata: VideoMetadata | None = None
    midi: bytes | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """A step of the history: the verb, the take that is current after it, and what is accepted or rejected then."""

    verb: str
    current: int
    marks: Mapping[int, Mark] = field(default_factory=dict)


@dataclass(frozen=True)
class History:
    """All choices, and which of them holds: those behind `position` were undone."""

    choices: tuple[Choice, ...] = ()
    position: int = -1

    @property
    def now(self) -> Choice | None:
        """The choice that holds; None where none was made yet."""
        return self.choices[self.position] if self.choices else None

    @property
    def marks(self) -> Mapping[int, Mark]:
        """What is accepted and rejected."""
        return self.now.marks if self.now else {}

    def then(self, choice: Choice) -> History:
        """Give the history after another choice; what was undone cannot be redone any more."""
        done = (*self.choices[: self.position + 1], choice)
        return History(done, len(done) - 1)

    def undo(self) -> History:
        """Give the history with its last choice undone. Raises `UsageError` where there is none to undo."""
        if self.position < 1:
            raise UsageError("There is nothing to undo.", hint="`cmt-bridge takes` lists what there is.")
        return replace(self, position=self.position - 1)

    def redo(self) -> History:
        """Give the history with the choice that was undone last. Raises `UsageError` where there is none."""
        if self.position + 1 >= len(self.choices):
            raise UsageError("There is nothing to redo.", hint="`cmt-bridge takes` lists what there is.")
        return replace(self, position=self.position + 1)

    def to_json(self) -> dict[str, Any]:
        return {
            "position": self.position,
            "choices": [
                {"verb": c.verb, "current": c.current, "marks": {str(n): mark for n, mark in c.marks.items()}}
                for c in self.choices
            ],
        }

    @classmethod
    def from_json(cls, data: Any, *, source: str) -> History:
        """Read the JSON form. Raises `ScoreError` where it is none; `source` names the file."""
        try:
            choices = tuple(
                Choice(str(c["verb"]), int(c["current"]), {int(n): _mark(mark) for n, mark in c["marks"].items()})
                for c in data["choices"]
            )
            position = int(data["position"])
            if not -1 <= position < len(choices) or (choices and position < 0):
                raise ValueError(f"position {position}")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ScoreError(
                f"{source} is damaged: {error!r}.", hint="Move it away: then the last take is the current one."
            ) from error
        return cls(choices, position)


def _mark(text: Any) -> Mark:
    if text == "accepted":
        return "accepted"
    if text == "rejected":
        return "rejected"
    raise ValueError(f"no such mark as {text!r}")


@dataclass(frozen=True, slots=True)
class Dropped:
    """What was dropped for a session: the files written, and those that others edited and that were left alone."""

    written: tuple[Path, ...] = ()
    left: tuple[Path, ...] = ()


class Project:
    """A project folder. What changes it holds its lock; what reads it needs none: files are complete or not there.

    Methods raise `ScoreError` where what is in the folder cannot be read, `OutputError` where it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def create(cls, folder: Path, video: str, sha256: str, drafts: Sequence[Draft]) -> Project:
        """Make a new project with its first takes, complete or not at all; the first one is the current one."""
        with complete_folder(folder, parents=False) as temporary:  # a folder that was moved is not to come back
            made = cls(temporary)
            for number, draft in enumerate(drafts, 1):
                made._write(number, draft, folder.name.removesuffix(SUFFIX))
            made._write_videos([{"name": video, "sha256": sha256}])
            made._choose(History(), Choice(drafts[0].facts.verb, 1))
        return cls(folder)

    @property
    def name(self) -> str:
        """The name of what it makes: that of the folder without its suffix."""
        return self.folder.name.removesuffix(SUFFIX)

    def videos(self) -> list[dict[str, str]]:
        """Give name and SHA-256 of the videos it has takes for."""
        data = read_json(self.folder / PROJECT)
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise ScoreError(f"{self.folder} is no project of cmt-bridge.", hint="Move it away, or score elsewhere.")
        if data.get("format_version", 0) > VERSION:
            raise ScoreError(f"{self.folder} was made by a newer cmt-bridge.", hint="Update cmt-bridge.")
        try:
            return [{"name": str(video["name"]), "sha256": str(video["sha256"])} for video in data["videos"]]
        except (KeyError, TypeError) as error:
            raise ScoreError(f"{self.folder / PROJECT} is damaged: {error!r}.", hint="Move the folder away.") from error

    def takes(self) -> list[Take]:
        """Give all takes, by number."""
        found = []
        for folder in self.folder.iterdir():
            match = TAKE_FOLDER.fullmatch(folder.name)
            if match and (folder / TAKE).is_file():
                source = folder / TAKE
                found.append(Take(int(match[1]), folder, Facts.from_json(read_json(source), source=str(source))))
        return sorted(found, key=lambda take: take.number)

    def take(self, number: int) -> Take:
        """Give a take. Raises `UsageError` where there is none of that number."""
        takes = self.takes()
        for take in takes:
            if take.number == number:
                return take
        known = ", ".join(str(take.number) for take in takes) or "none"
        raise UsageError(f"{self.folder} has no take {number}.", hint=f"There are: {known}.")

    def takes_of(self, key: str) -> list[Take]:
        """Give the takes of one request."""
        return [take for take in self.takes() if key and take.facts.key == key]

    def history(self) -> History:
        """Give all choices of takes."""
        path = self.folder / HISTORY
        return History.from_json(read_json(path), source=str(path)) if path.is_file() else History()

    def current(self) -> Take:
        """Give the current take: the one chosen, or the last where none was. Raises `ScoreError` where it is gone."""
        takes = self.takes()
        now = self.history().now
        if not takes:
            raise ScoreError(f"{self.folder} holds no take.", hint="Score the video again.")
        if now is None:
            return takes[-1]
        for take in takes:
            if take.number == now.current:
                return take
        raise ScoreError(
            f"Take {now.current} of {self.folder} is gone.", hint="Choose another with `cmt-bridge choose`."
        )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep others from changing the project meanwhile, and clear away what a killed process left half-written."""
        try:
            (self.folder / PROJECT).stat()  # taking a lock would bring a folder back that was moved
            with FileLock(self.folder / ".lock", timeout=PATIENCE):
                for path in self.folder.iterdir():
                    if is_temporary(path.name):
                        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
                yield
        except Timeout:
            raise OutputError(
                f"Another cmt-bridge is at work on {self.folder}.", hint="Wait for it, or end it, then try again."
            ) from None
        except OSError as error:
            raise OutputError(
                f"Cannot write {self.folder}: {error.strerror}.", hint="Check its permissions."
            ) from error

    def add(self, drafts: Sequence[Draft], video: str = "", sha256: str = "") -> list[Take]:
        """Write takes with the next numbers; the first of them becomes the current one. Give all of their request.

        What a request has written before, of the same seed, is not written again: a process that was given up for dead
        may have come to it all the same.
        """
        with self.locked():
            takes = self.takes()
            there = {(take.facts.key, take.facts.seed) for take in takes if take.facts.key}
            wanted = drafts
            drafts = [draft for draft in wanted if (draft.facts.key, draft.facts.seed) not in there]
            if not drafts:
                return self.takes_of(wanted[0].facts.key)
            first = max((take.number for take in takes), default=0) + 1
            numbers = range(first, first + len(drafts))
            for number, draft in zip(numbers, drafts, strict=True):
                self._write(number, draft, self.name)
            source = {"name": video, "sha256": sha256}
            if sha256 and source not in (known := self.videos()):
                self._write_videos([*known, source])
            history = self.history()
            self._choose(history, Choice(drafts[0].facts.verb, first, history.marks))
            return self.takes_of(drafts[0].facts.key) or [self.take(number) for number in numbers]

    def settle(self, take: Take) -> None:
        """Make a take current whose writer was killed before it could; nothing where it has been current already."""
        with self.locked():
            history = self.history()
            if any(choice.current == take.number for choice in history.choices):
                self._copy(self.current())
            else:
                self._choose(history, Choice(take.facts.verb, take.number, history.marks))

    def choose(self, number: int) -> Take:
        """Make a take the current one."""
        return self._step("choose", number, lambda marks: marks)

    def accept(self, number: int | None = None) -> Take:
        """Accept a take, the current one where none is named; it becomes the current one."""
        number = self.current().number if number is None else number
        return self._step("accept", number, lambda marks: {**marks, number: "accepted"})

    def reject(self, number: int | None = None) -> Take:
        """Reject a take, the current one where none is named.

        Where it was the current one, the next of the same request that is not rejected takes its place, else the one it
        was made from, else the last. Raises `UsageError` where all others are rejected.
        """
        current = self.current().number
        number = self.take(current if number is None else number).number
        chosen = self._instead_of(number) if number == current else current
        return self._step("reject", chosen, lambda marks: {**marks, number: "rejected"})

    def _instead_of(self, number: int) -> int:
        marks = self.history().marks
        rejected = self.take(number)
        others = [t for t in self.takes() if t.number != number and marks.get(t.number) != "rejected"]
        if not others:
            raise UsageError(
                "There is no other take to go to.", hint="Compose one with `regenerate` or `score`, or undo."
            )
        siblings = [t.number for t in others if rejected.facts.key and t.facts.key == rejected.facts.key]
        origins = [t.number for t in others if t.number == rejected.facts.origin]
        later = [n for n in siblings if n > number]
        return (later + siblings + origins + [others[-1].number])[0]

    def undo(self) -> Take:
        """Go back to the take before the last choice, whatever that was; no take is lost by it."""
        with self.locked():
            return self._move(self.history().undo())

    def redo(self) -> Take:
        """Make the choice again that was undone last."""
        with self.locked():
            return self._move(self.history().redo())

    def _step(self, verb: str, number: int, marked: Any) -> Take:
        self.take(number)
        with self.locked():
            history = self.history()
            self._choose(history, Choice(verb, number, marked(dict(history.marks))))
        return self.take(number)

    def _choose(self, history: History, choice: Choice) -> None:
        if not history.choices and choice.verb in ("choose", "accept", "reject"):
            history = history.then(Choice("score", max(take.number for take in self.takes())))
        self._move(history.then(choice))

    def _move(self, history: History) -> Take:
        now = history.now
        take = self.take(now.current if now else self.takes()[-1].number)
        write_json(history.to_json(), self.folder / HISTORY)
        self._copy(take)
        return take

    def _copy(self, take: Take) -> None:
        """Let score and metadata of the current take lie in the project folder itself."""
        for name in (SCORE_NAME, METADATA_NAME):
            source, target = take.folder / name, self.folder / name
            if source.is_file():
                with complete_path(target, parents=False) as temporary:
                    shutil.copyfile(source, temporary)
            else:
                target.unlink(missing_ok=True)

    def _write(self, number: int, draft: Draft, title: str) -> None:
        from cmt_bridge.pipeline import write_take

        folder = self.folder / f"take {number}"
        also = {TAKE: draft.facts.to_json()}
        write_take(draft.score, draft.metadata, title, folder, midi=draft.midi, also=also, parents=False)

    def _write_videos(self, videos: list[dict[str, str]]) -> None:
        write_json({"format": FORMAT, "format_version": VERSION, "videos": videos}, self.folder / PROJECT)

    def drop(self, outputs: Outputs) -> Dropped:
        """Copy the current take's files to where a session wants them.

        A file there is replaced only while it is a copy of some take; an edited one is left alone, and the take goes
        beside it under its own number.
        """
        if not outputs.drop:
            return Dropped()
        folder = self.folder.parent / Path(outputs.drop).expanduser()  # the same folder where `drop` is "."
        take = self.current()
        written, left = [], []
        for source, name in self._droppings(take, outputs):
            target = folder / name
            if target.exists() and not self._is_ours(target, source.suffix):
                left.append(target)
                target = target.with_name(f"{target.stem} take {take.number}{target.suffix}")
                if target.exists() and not self._is_ours(target, source.suffix):
                    target = fresh_path(target)
            if not _same(source, target):
                with complete_path(target, parents=folder != self.folder.parent) as temporary:
                    shutil.copyfile(source, temporary)
            written.append(target)
        return Dropped(tuple(written), tuple(left))

    def _droppings(self, take: Take, outputs: Outputs) -> Iterator[tuple[Path, str]]:
        name = self.name
        if "midi" in outputs.files:
            tempo = f" {take.score().tempo_map.bpm_at(0):.2f} BPM" if outputs.host == "garageband" else ""
            yield take.midi, f"{name}{tempo}.mid"
        if "score" in outputs.files:
            yield take.folder / SCORE_NAME, f"{name}.score.json"
        if "preview" in outputs.files:
            yield from ((path, path.name) for path in sorted(take.folder.glob("*.preview.*")))

    def _is_ours(self, path: Path, suffix: str) -> bool:
        """Tell whether a file is a copy of some take's."""
        try:
            size = path.stat().st_size
            ours = [f for f in self.folder.glob(f"take */*{suffix}") if f.stat().st_size == size]
            return bool(ours) and sha256_of(path) in {sha256_of(file) for file in ours}
        except OSError:
            return False


def _same(source: Path, target: Path) -> bool:
    return (
        target.is_file() and source.stat().st_size == target.stat().st_size and sha256_of(source) == sha256_of(target)
    )


def projects_in(folder: Path) -> list[Project]:
    """Give the projects that lie in a folder."""
    return [Project(path) for path in sorted(folder.glob(f"*{SUFFIX}")) if (path / PROJECT).is_file()]


def project_of(path: Path) -> Project | None:
    """Give the project that a path means: the folder itself, something in it, or the video it is for; else None.

    A video is known by its name, and by its content after it was renamed.
    """
    path = path.absolute()
    for folder in (path, *path.parents):
        if folder.name.endswith(SUFFIX) and (folder / PROJECT).is_file():
            return Project(folder)
    if not path.is_file():
        return None
    here = [Project(folder) for folder in _named(path) if (folder / PROJECT).is_file()]
    for project in here:
        if any(video["name"] == path.name for video in project.videos()):
            return project
    others = projects_in(path.parent)
    if not others:
        return None
    sha256 = sha256_of(path)
    return next((each for each in others if any(video["sha256"] == sha256 for video in each.videos())), None)


def _named(video: Path) -> tuple[Path, Path]:
    return video.with_name(f"{video.stem}{SUFFIX}"), video.with_name(f"{video.name}{SUFFIX}")


def home_of(path: Path, title: str, home: Path | None = None) -> Path:
    """Give the folder that a new project for a file goes to: beside it, or in `home`."""
    home = path.absolute().parent if home is None else home.absolute()
    full = "".join(letter if letter.isprintable() else "_" for letter in path.name)
    candidates = [home / f"{title}{SUFFIX}", home / f"{full}{SUFFIX}"]
    return next((each for each in candidates if not each.exists()), fresh_path(candidates[1]))


@dataclass(frozen=True, slots=True)
class Difference:
    """How two takes differ in a track: the bars, counted from 1, and how many notes only the one or the other has."""

    track: str
    bars: tuple[int, ...]
    only_first: int
    only_second: int


def difference(first: Score, second: Score) -> list[Difference]:
    """Give how the notes of two scores differ, for each track that does."""
    found = []
    for before, after in zip(first.tracks, second.tracks, strict=False):
        lost, won = set(before.notes) - set(after.notes), set(after.notes) - set(before.notes)
        if lost or won:
            bars = sorted({note.onset // TICKS_PER_BAR + 1 for note in lost | won})
            found.append(Difference(before.name, tuple(bars), len(lost), len(won)))
    return found
