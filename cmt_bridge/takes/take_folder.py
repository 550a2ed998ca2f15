"""A project folder: takes are written into it, and one of them is chosen."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from cmt_bridge.core.bounds import TAKE as TAKE_NUMBER
from cmt_bridge.core.bounds import fault_of
from cmt_bridge.core.files import (
    PROJECT_SUFFIX,
    complete_folder,
    complete_path,
    is_plain_name,
    is_temporary,
    is_there,
    opened,
    sha256_of,
    short,
    sweep,
)
from cmt_bridge.errors import OutputError, ScoreError, UsageError
from cmt_bridge.outputs.scorefile import METADATA_NAME, SCORE_NAME, read_json, write_json
from cmt_bridge.takes.history import Choice, History, Mark
from cmt_bridge.takes.take import NewTake, Take, TakeInfo
from cmt_bridge.takes.write import write_take

__all__ = ["PROJECT", "SUFFIX", "TakeFolder"]

SUFFIX: Final = PROJECT_SUFFIX
PROJECT, HISTORY, TAKE = "project.json", "history.json", "take.json"
FORMAT, VERSION = "cmt-bridge-project", 1
TAKE_FOLDER = re.compile(r"take ([1-9]\d*)")
PATIENCE = 60.0  # s, to wait for another process that is at work on the project; a take is written in far less


class TakeFolder:
    """A project folder. What changes it holds its lock; what reads it needs none: files are complete or not there.

    Methods raise `ScoreError` where what is in the folder cannot be read, `OutputError` where it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    @classmethod
    def create(cls, folder: Path, video: str, sha256: str, drafts: Sequence[NewTake]) -> TakeFolder:
        """Make a new project with its first takes, complete or not at all; the first one is the current one."""
        with complete_folder(folder, parents=False) as temporary:  # a folder that was moved is not to come back
            made = cls(temporary)
            for number, draft in enumerate(drafts, 1):
                made._write(number, draft, cls(folder).name)
            made._write_videos([{"name": video, "sha256": sha256}])
            made._choose(History(), Choice(drafts[0].info.verb, 1))
        return cls(folder)

    @property
    def name(self) -> str:
        """The name of what it makes: that of the folder without its suffix, and not longer than names may be."""
        return short(self.folder.name.removesuffix(SUFFIX))

    def videos(self) -> list[dict[str, str]]:
        """Return name and SHA-256 of the videos it has takes for."""
        data = read_json(self.folder / PROJECT)
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise ScoreError(f"{self.folder} is no project of cmt-bridge.", hint="Move it away, or score elsewhere.")
        try:
            if int(data.get("format_version", 0)) > VERSION:
                raise ScoreError(f"{self.folder} was made by a newer cmt-bridge.", hint="Update cmt-bridge.")
            return [_video(video["name"], video["sha256"]) for video in data["videos"]]
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ScoreError(
                f"{self.folder / PROJECT} is damaged: {fault_of(error)}.", hint="Move the folder away."
            ) from error

    def takes(self) -> list[Take]:
        """Return all takes, by number."""
        found = []
        for folder in self._listed():
            match = TAKE_FOLDER.fullmatch(folder.name)
            if match and is_there(folder / TAKE) and not TAKE_NUMBER.fault(int(match[1][:20])):
                source = folder / TAKE
                found.append(Take(int(match[1]), folder, TakeInfo.from_json(read_json(source), source=str(source))))
        return sorted(found, key=lambda take: take.number)

    def _listed(self) -> list[Path]:
        try:
            return list(self.folder.iterdir())
        except OSError as error:
            raise ScoreError(f"Cannot read {self.folder}: {error.strerror}.", hint="Check its permissions.") from error

    def take(self, number: int) -> Take:
        """Return a take. Raises `UsageError` where there is none of that number."""
        takes = self.takes()
        for take in takes:
            if take.number == number:
                return take
        known = ", ".join(str(take.number) for take in takes) or "none"
        raise UsageError(f"{self.folder} has no take {number}.", hint=f"There are: {known}.")

    def takes_of(self, key: str) -> list[Take]:
        """Return the takes of one request."""
        return [take for take in self.takes() if key and take.info.key == key]

    def history(self) -> History:
        """Return all choices of takes."""
        path = self.folder / HISTORY
        return History.from_json(read_json(path), source=str(path)) if is_there(path) else History()

    def current(self) -> Take:
        """Return the current take: the one chosen, or the last where none was. Raises `ScoreError` where it is gone."""
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
            with opened(self.folder / PROJECT):  # taking a lock would bring a folder back that was moved
                lock = self.folder / ".lock"
            if lock.is_symlink():
                raise OutputError(f"{lock} is a link, and in a project none is followed.", hint="Remove it.")
            with FileLock(lock, timeout=PATIENCE):
                sweep(self.folder.parent)
                for path in self.folder.iterdir():
                    is_folder = path.is_dir() and not path.is_symlink()
                    if is_temporary(path.name):
                        shutil.rmtree(path, ignore_errors=True) if is_folder else path.unlink(missing_ok=True)
                    elif is_folder:
                        sweep(path)
                yield
        except Timeout:
            raise OutputError(
                f"Another cmt-bridge is at work on {self.folder}.", hint="Wait for it, or end it, then try again."
            ) from None
        except OSError as error:
            raise OutputError(
                f"Cannot write {self.folder}: {error.strerror}.", hint="Check its permissions."
            ) from error

    def add(self, drafts: Sequence[NewTake], video: str = "", sha256: str = "") -> list[Take]:
        """Write takes with the next numbers; the first of them becomes the current one. Returns all of their request.

        What a request has written before, of the same seed, is not written again: a process that was given up for dead
        may have come to it all the same.
        """
        with self.locked():
            takes = self.takes()
            there = {(take.info.key, take.info.seed) for take in takes if take.info.key}
            wanted = drafts
            drafts = [draft for draft in wanted if (draft.info.key, draft.info.seed) not in there]
            if not drafts:
                return self.takes_of(wanted[0].info.key)
            first = max((take.number for take in takes), default=0) + 1
            numbers = range(first, first + len(drafts))
            for number, draft in zip(numbers, drafts, strict=True):
                self._write(number, draft, self.name)
            source = {"name": video, "sha256": sha256}
            if sha256 and source not in (known := self.videos()):
                self._write_videos([*known, source])
            history = self.history()
            self._choose(history, Choice(drafts[0].info.verb, first, history.marks))
            return self.takes_of(drafts[0].info.key) or [self.take(number) for number in numbers]

    def recover(self, take: Take) -> None:
        """Make a take current whose writer was killed before it could; nothing where it has been current already."""
        with self.locked():
            history = self.history()
            if any(choice.current == take.number for choice in history.choices):
                self._copy(self.current())
            else:
                self._choose(history, Choice(take.info.verb, take.number, history.marks))

    def choose(self, number: int) -> Take:
        """Make a take the current one."""
        return self._step("choose", number, lambda marks: marks)

    def choose_neighbor(self, step: int, start: int | None = None) -> Take:
        """Make the take current that lies `step` takes after another, or before it where negative; skip rejected ones.

        `start` is the number of that other take, the current one where None. Where it starts is found out under the
        project's lock, so that two steps at the same moment go two takes further. Raises `UsageError` where there is no
        such take.
        """
        with self.locked():
            history = self.history()
            first = self.current().number if start is None else self.take(start).number
            numbers = [
                take.number
                for take in self.takes()
                if take.number == first or history.marks.get(take.number) != "rejected"
            ]
            index = numbers.index(first) + step
            if not 0 <= index < len(numbers):
                raise UsageError(
                    f"There is no take {'after' if step > 0 else 'before'} take {first}.",
                    hint="Regenerate to have another." if step > 0 else "Rejected takes are passed over.",
                )
            self._choose(history, Choice("choose", numbers[index], history.marks))
        return self.take(numbers[index])

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
        siblings = [t.number for t in others if rejected.info.key and t.info.key == rejected.info.key]
        origins = [t.number for t in others if t.number == rejected.info.origin]
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

    def _step(self, verb: str, number: int, marked: Callable[[Mapping[int, Mark]], Mapping[int, Mark]]) -> Take:
        self.take(number)
        with self.locked():
            history = self.history()
            self._choose(history, Choice(verb, number, marked(history.marks)))
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
            if not is_there(source):
                target.unlink(missing_ok=True)
                continue
            with (
                opened(source) as file,
                complete_path(target, parents=False) as temporary,
                temporary.open("wb") as copy,
            ):
                shutil.copyfileobj(file, copy)

    def _write(self, number: int, draft: NewTake, title: str) -> None:
        folder = self.folder / f"take {number}"

        def info(files: Mapping[str, str]) -> dict[str, Any]:
            return replace(draft.info, files=files).to_json()

        write_take(draft.score, draft.metadata, title, folder, midi=draft.midi, also={TAKE: info}, parents=False)

    def record(self, take: Take, path: Path) -> Take:
        """Note that a file in the folder of a take was made for it; return the take with that."""
        with self.locked():
            info = self.take(take.number).info
            info = replace(info, files={**(info.files or {}), path.name: sha256_of(path)})
            write_json(info.to_json(), take.folder / TAKE)
        return replace(take, info=info)

    def _write_videos(self, videos: list[dict[str, str]]) -> None:
        write_json({"format": FORMAT, "format_version": VERSION, "videos": videos}, self.folder / PROJECT)


def _video(name: Any, sha256: Any) -> dict[str, str]:
    """Read a video of a project, which lies beside it. Raises `ValueError` where it names another place."""
    if not (isinstance(name, str) and isinstance(sha256, str) and is_plain_name(name)):
        raise ValueError("a video is not named as a file beside the project is")
    return {"name": name, "sha256": sha256}
