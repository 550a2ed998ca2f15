"""Score a video: the next take of its project, or a folder of its own."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cmt_bridge.config import Config, read_config
from cmt_bridge.core.files import is_plain_name, sha256_of
from cmt_bridge.core.hosts import HOSTS
from cmt_bridge.core.paths import path_fields
from cmt_bridge.core.signature import FileSignature, signature_of
from cmt_bridge.errors import OutputError, ScoreError, VideoError
from cmt_bridge.scoring.delivery import delivered
from cmt_bridge.scoring.outcome import Outcome, Told, remarks, summary
from cmt_bridge.settings import Settings, as_text, value_of

if TYPE_CHECKING:
    from cmt_bridge.core.metadata import VideoMetadata
    from cmt_bridge.core.options import AnalysisOptions, ComposeOptions
    from cmt_bridge.core.score import Score
    from cmt_bridge.model.paper_engine import Precision
    from cmt_bridge.scoring.pipeline import Picture
    from cmt_bridge.takes.take import Take
    from cmt_bridge.takes.take_folder import TakeFolder

__all__ = ["ScoreRequest", "add", "check_settings", "doubts", "now", "score", "weights_of"]

MOST_PLACES: Final = 5  # that a sentence lists
LATE: Final = 0.05  # s by which a picture begins late enough to be told


@dataclass(frozen=True)
class ScoreRequest:
    """Score a video, a metadata.json or a video's .npz.

    `settings` are those of the person, which go before those of cmt-bridge.toml. With an `output` folder the takes go
    there and into no project; a new project lies in `home`, where that is not beside the video. `key` names the
    request, so that one that was carried out is not carried out again. With `again` False a video that has takes is
    left as it is.
    """

    path: Path
    settings: Settings = field(default_factory=dict)
    output: Path | None = None
    home: Path | None = None
    key: str = ""
    again: bool = True

    def __post_init__(self) -> None:
        path_fields(self, "path", "output", "home")

    def to_json(self) -> dict[str, Any]:
        return {
            "path": str(self.path),
            "settings": dict(self.settings),
            "output": None if self.output is None else str(self.output),
            "home": None if self.home is None else str(self.home),
            "key": self.key,
            "again": self.again,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ScoreRequest:
        """Read what `to_json` gave; settings may be numbers and lists too."""
        return cls(
            path=Path(data["path"]),
            settings={name: as_text(value) for name, value in data.get("settings", {}).items()},
            output=None if data.get("output") is None else Path(data["output"]),
            home=None if data.get("home") is None else Path(data["home"]),
            key=str(data.get("key", "")),
            again=bool(data.get("again", True)),
        )


def now() -> str:
    """Return the time in UTC, to the second, as ISO 8601 writes it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def weights_of(settings: Settings) -> tuple[str, Precision]:
    """Return the model and the precision that settings ask for, the usual ones where they say nothing."""
    from cmt_bridge.model.registry import DEFAULT

    precision: Precision = value_of(settings, "precision")
    return value_of(settings, "model") or DEFAULT, precision


def check_settings(settings: Settings) -> tuple[ComposeOptions, AnalysisOptions]:
    """Return the options that settings stand for. Raises `UsageError` for those that cannot be used, `CheckpointError`.

    Nothing heavy is loaded for it, so that what cannot be is refused before a video is measured.
    """
    from cmt_bridge.model.knowledge import knowledge_of
    from cmt_bridge.model.registry import find_model
    from cmt_bridge.settings import analysis_options, compose_options

    options, analysis = compose_options(settings), analysis_options(settings)
    value_of(settings, "variations")
    model, _ = weights_of(settings)
    knowledge_of(find_model(model).path).check(options)
    return options, analysis


def score(
    request: ScoreRequest,
    told: Told,
    *,
    sha256: str = "",
    signature: FileSignature | None = None,
    whole: bool = False,
) -> Outcome:
    """Carry out a request to score; what is written is complete or not there.

    `sha256` is the content that the request was made for, where that is known. `signature` is that of the file which
    it was read from: one that still has it is not read for it again. With `whole` a damaged video, which may be one
    that is not there completely yet, is not scored. Raises `VideoError` where the video is another one by now, changes
    or is moved meanwhile, and the errors of what it uses.
    """
    from cmt_bridge.scoring.pipeline import Timings, deliver, look_at, score_picture

    config = read_config(request.path.absolute().parent)
    settings = {**config.score, **request.settings}
    options, analysis = check_settings(settings)
    model, precision = weights_of(settings)
    variations = value_of(settings, "variations")
    if request.output is None and config.outputs.drop:
        config.outputs.folder_from(request.home or request.path.absolute().parent)  # refused at once
    timings = Timings()
    told("measure", 0.0)
    before = signature_of(request.path)
    picture = look_at(
        request.path,
        analysis,
        sha256=sha256 if signature is not None and signature == before else "",
        progress=lambda share: told("measure", share),
        timings=timings,
    )
    if sha256 and picture.sha256 != sha256:
        raise _changed(request.path)
    if whole and picture.damage:
        raise VideoError(f"{request.path} is damaged: {picture.damage}.", hint="Or it is not complete yet.")
    project, there = _done(request, picture.sha256, variations)
    if project is not None and there:
        return _finished(request, project, there, config)
    if not settings.get("seed", "").strip():
        options = replace(options, seed=_next_seed(request, project, picture.sha256, variations))
    told("compose", 0.0)
    scores = score_picture(
        picture,
        options,
        model=model,
        precision=precision,
        variations=variations,
        progress=lambda share: told("compose", share),
        timings=timings,
    )
    told("deliver", 0.0)
    if not _is_as_before(request.path, before, picture.sha256):  # or moved: then its score does not belong here
        raise _changed(request.path)
    notes = doubts(request.path, picture.metadata, picture.damage) if picture.metadata else []
    if request.output is not None:
        with timings.part("deliver"):
            folders = deliver(scores, picture, request.output)
        takes = [summary(one, folder, one.provenance.seed) for one, folder in zip(scores, folders, strict=True)]
        notes += [remark for take in takes for remark in remarks(take)]
        return Outcome(takes, notes=notes, seconds=timings.seconds)
    project, there = _done(request, picture.sha256, variations)  # somebody else may have been at it meanwhile
    if project is not None and there:
        return _finished(request, project, there, config)
    with timings.part("deliver"):
        project, made = add(request, picture, scores)
    return _delivered(request.path, project, made, config, notes, timings.seconds)


def _done(request: ScoreRequest, sha256: str, variations: int) -> tuple[TakeFolder | None, list[Take]]:
    """Return the project of what is scored, if there is one, and the takes that make the request one that is done."""
    from cmt_bridge.takes.locate import find_take_folder

    project = None if request.output is not None else find_take_folder(request.path, sha256=_content(request, sha256))
    if project is None:
        return None, []
    there = project.takes_of(request.key)
    if len(there) >= variations:
        return project, there
    return project, [] if request.again else _takes_for(project, sha256)


def _next_seed(request: ScoreRequest, project: TakeFolder | None, sha256: str, variations: int) -> int:
    """Return the first seed that the clip was not scored with yet, in its project or in the folders beside `output`."""
    from cmt_bridge.takes.seeds import next_seed, unused
    from cmt_bridge.takes.write import takes_of_folder

    if request.output is not None:
        beside = takes_of_folder(request.output)
        return unused((made.seed for made in beside if made.video_sha256 == sha256), variations)
    takes = project.takes() if project is not None else []
    of_this = [take for take in takes if take.info.request.get("video_sha256", sha256) == sha256]
    return next_seed(of_this, variations, request.key)


def _changed(path: Path) -> VideoError:
    return VideoError(f"{path} changed or was moved while it was scored.", hint="Wait until it is complete.")


def _is_as_before(path: Path, before: FileSignature | None, sha256: str) -> bool:
    """Return whether a file is as it was; where only its last time tells of a change, what is in it does."""
    after = signature_of(path)
    if after is None or before is None or replace(after, ctime_ns=before.ctime_ns) != before:
        return after == before
    return after == before or sha256_of(path) == sha256


def _content(request: ScoreRequest, sha256: str) -> str:
    """Return the SHA-256 of the file that is scored; "" for metadata.json, where the picture's is that of another."""
    return "" if request.path.suffix.lower() == ".json" else sha256


def _takes_for(project: TakeFolder, sha256: str) -> list[Take]:
    """Return the takes that were scored for a content."""
    scored = [take for take in project.takes() if take.info.verb != "regenerate"]
    return [take for take in scored if take.info.request.get("video_sha256") == sha256]


def _finished(request: ScoreRequest, project: TakeFolder, takes: list[Take], config: Config) -> Outcome:
    """Return the outcome of a request that was carried out, and do what its writer may not have come to."""
    if takes[0].info.key == request.key:
        project.recover(takes[0])
    return _delivered(request.path, project, takes, config, [], {})


def add(
    request: ScoreRequest, picture: Picture, scores: list[Score], verb: str = "score"
) -> tuple[TakeFolder, list[Take]]:
    """Write takes: into the project of a video if there is one, else into a new one. Raises `OutputError`."""
    from cmt_bridge.takes.locate import find_take_folder, folder_for_new
    from cmt_bridge.takes.take import NewTake, TakeInfo
    from cmt_bridge.takes.take_folder import TakeFolder

    key, made = request.key or secrets.token_hex(8), now()
    name = scores[0].provenance.video  # without what no text can hold
    if not is_plain_name(name):  # metadata.json may state any
        name = request.path.name
    asked = {**request.settings, "video": name, "video_sha256": picture.sha256}
    drafts = [
        NewTake(one, TakeInfo(verb, made, key, one.provenance.seed, request=asked), picture.metadata) for one in scores
    ]
    home = folder_for_new(request.path, picture.title, request.home)
    sha256 = _content(request, picture.sha256)
    project = find_take_folder(request.path, sha256=sha256)
    if project is None:
        try:
            made_new = TakeFolder.create(home, name, picture.sha256, drafts)
            return made_new, made_new.takes()
        except OutputError:
            project = find_take_folder(
                request.path, sha256=_content(request, picture.sha256)
            )  # somebody may have made it at the same moment
            if project is None:
                raise
    return project, project.add(drafts, name, picture.sha256)


def _delivered(
    path: Path, project: TakeFolder, takes: list[Take], config: Config, notes: list[str], seconds: dict[str, float]
) -> Outcome:
    outcome = delivered(project, takes, config.outputs, path, notes=notes, seconds=seconds)
    found = [remark for take in outcome.takes for remark in remarks(take)] + _again(project, takes)
    outcome = replace(outcome, notes=[*outcome.notes, *found])
    host = [HOSTS[config.outputs.host].midi] if config.outputs.host and outcome.dropped else []
    return replace(outcome, notes=[*outcome.notes, *host])


def _again(project: TakeFolder, takes: list[Take]) -> list[str]:
    """Return which takes are the same music as one before them."""
    made = {take.number for take in takes}
    known: dict[Any, int] = {}
    found = []
    for take in project.takes():
        try:
            score = take.score()
        except ScoreError:
            continue
        music = (score.tempo_map, score.tracks)
        first = known.setdefault(music, take.number)
        if take.number in made and first != take.number:
            found.append(
                f"Take {take.number} is the same music, note for note, as take {first}: nothing that was asked for "
                "is different. Leave --seed out, or give another."
            )
    return found


def doubts(video: Path, metadata: VideoMetadata, damage: str) -> list[str]:
    """Return what a person should know of a measured video: what is odd in it, and that its tempo is not its own."""
    found = []
    if damage:
        found.append(f"Warning: {video} is damaged: {damage}. It was measured up to {metadata.duration:.1f} s.")
    if metadata.joints:
        places = ", ".join(f"{each:.1f} s" for each in metadata.joints[:MOST_PLACES])
        more = f" and {len(metadata.joints) - MOST_PLACES} more" if len(metadata.joints) > MOST_PLACES else ""
        found.append(f"Warning: the time stamps of {video} jump at {places}{more}; what they part was joined up.")
    if metadata.source.offset >= LATE:
        found.append(
            f"The picture begins {metadata.source.offset:.3f} s after the file; the music begins with the picture, and "
            "exported projects do too."
        )
    if metadata.tempo_source == "default":
        found.append(
            f"The picture has no rhythm to take a tempo from, so it is {metadata.tempo:g} BPM; --tempo sets another."
        )
    return found
