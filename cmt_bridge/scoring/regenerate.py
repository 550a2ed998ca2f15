"""Compose bars of a score anew: the next takes of its project, or folders beside it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmt_bridge.config import read_config
from cmt_bridge.core.bounds import fault_of
from cmt_bridge.core.files import is_there
from cmt_bridge.core.paths import path_fields
from cmt_bridge.errors import ScoreError, UsageError
from cmt_bridge.scoring.delivery import delivered, placed
from cmt_bridge.scoring.outcome import Outcome, Told, summary
from cmt_bridge.scoring.score import now, weights_of
from cmt_bridge.settings import of_verb, setting

if TYPE_CHECKING:
    from cmt_bridge.core.anew import Request
    from cmt_bridge.core.control import ControlTrack
    from cmt_bridge.core.instruments import Instrument
    from cmt_bridge.core.metadata import VideoMetadata
    from cmt_bridge.core.options import ComposeOptions
    from cmt_bridge.core.score import Score
    from cmt_bridge.model.paper_engine import Precision
    from cmt_bridge.model.registry import Model
    from cmt_bridge.outputs.edited import Edited
    from cmt_bridge.scoring.infill import Regenerated
    from cmt_bridge.scoring.pipeline import Timings
    from cmt_bridge.settings import Settings
    from cmt_bridge.takes.take import NewTake, Take
    from cmt_bridge.takes.take_folder import TakeFolder

__all__ = ["RegenerateRequest", "other_model", "regenerate", "regenerate_score"]


@dataclass(frozen=True)
class RegenerateRequest:
    """Compose bars of a score anew.

    `path` is a video, its project, a take or a score folder. The bars are those of `bars` (`4-8,13`, as a DAW counts
    them), those from `start` to `end` (seconds, or the name of a marker), or those from `marker` to the next of its
    kind. `tracks` are composed, but those of `lock`; `keep` is `rhythm`, `pitches` or empty. `base` is a MIDI file that
    was edited elsewhere and says what there is. Of `candidates` the best `variations` are kept. What is None is as the
    score was made, and `precision` as cmt-bridge.toml has it. `key` names the request, so that one that was carried out
    is not carried out again. Raises `UsageError` for a value that is not allowed.
    """

    path: Path
    bars: str | None = None
    start: str | None = None
    end: str | None = None
    marker: str | None = None
    tracks: tuple[str, ...] = ()
    lock: tuple[str, ...] = ()
    keep: str = ""
    base: Path | None = None
    variations: int = 1
    candidates: int = setting("regenerate", "candidates").default
    seed: int | None = None
    control: float | None = None
    density: int = 0
    temperature: float | None = None
    model: str | None = None
    precision: str | None = None
    output: Path | None = None
    key: str = ""

    def __post_init__(self) -> None:
        path_fields(self, "path", "base", "output")
        for row in of_verb("regenerate").values():
            name = _WIRE_ATTRIBUTES.get(row.name, row.name)
            value = getattr(self, name)
            if name != "base" and value not in (None, "", ()):
                object.__setattr__(self, name, row.read(value))

    def to_json(self) -> dict[str, Any]:
        """Return the form that goes over a wire: what is as usual is left out, `start` and `end` are `from` and
        `to`.
        """
        usual = RegenerateRequest(self.path)
        said: dict[str, Any] = {"path": str(self.path)}
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if name != "path" and value != getattr(usual, name):
                said[_WIRE.get(name, name)] = str(value) if isinstance(value, Path) else value
        return said

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RegenerateRequest:
        """Read what `to_json` gave. Raises `UsageError` for what is not known."""
        names = {_WIRE.get(name, name): name for name in cls.__dataclass_fields__}
        unknown = sorted(data.keys() - names.keys())
        if unknown:
            raise UsageError(f"There is no {unknown[0]!r} to a regeneration.", hint=f"Known: {', '.join(names)}.")
        said = {names[name]: value for name, value in data.items() if value is not None}
        for name in ("path", "base", "output"):
            if name in said:
                said[name] = Path(said[name])
        return cls(**said)


_WIRE = {"start": "from", "end": "to"}
_WIRE_ATTRIBUTES = {wire: name for name, wire in _WIRE.items()}


@dataclass(frozen=True)
class _Source:
    """What is composed anew: its score, where it lies, and its project and take, if it is in one."""

    score: Score
    home: Path
    project: TakeFolder | None
    take: Take | None


@dataclass(frozen=True)
class _Task:
    """What is composed anew, out of what, and how; all that can be refused is, before torch is loaded.

    `control` is None where no picture says what to follow.
    """

    piece: Score
    wanted: Request
    options: ComposeOptions
    control: ControlTrack | None
    model: str
    precision: Precision
    edited: Edited | None
    metadata: VideoMetadata | None


def regenerate(request: RegenerateRequest, told: Told) -> Outcome:
    """Compose bars of a score anew and keep the best as takes; what is written is complete or not there.

    Raises `UsageError` where the score has no such bars, and the errors of what it uses.
    """
    from cmt_bridge.scoring.pipeline import Timings

    source = _source(request)
    project = source.project if request.output is None else None
    if project is not None:
        there = project.takes_of(request.key)
        if len(there) >= request.variations:
            project.recover(there[0])
            return _delivered(request, project, there, [], {}, {})
        placed(project.folder)
    timings = Timings()
    task = _task(request, source)
    told("compose", 0.0)
    entry, found = _composed(request, task, told, timings)
    kept = found[: request.variations]
    told("deliver", 0.0)
    drafts = _drafts(request, source, task, kept)
    more = {"candidates": [{"seed": each.seed, "surprise": each.surprise} for each in found]}
    notes = [_sentence(each, task.wanted) for each in kept]
    if not request.model:
        notes += filter(None, [other_model(task.piece, entry.name, entry.sha256)])
    with timings.part("deliver"):
        takes = project.add(drafts) if project is not None else []
        folders = _beside(request, source, drafts) if project is None else []
    if project is None:
        return Outcome(_told(folders, kept), notes=notes, seconds=timings.seconds, more=more)
    outcome = _delivered(request, project, takes, notes, timings.seconds, more)
    return replace(outcome, takes=_told(outcome.takes, kept))


def regenerate_score(
    score: Score, control: ControlTrack | None, request: RegenerateRequest, told: Told
) -> list[Regenerated]:
    """Return the candidates for bars of a score, the best first; no file is read or written but the model's.

    Args:
        score: The score; `request.path` is its name in errors.
        control: What the picture asks for; None where no picture is known.
        request: What to compose anew. `base`, `output`, `variations` and its own `key` do not matter.
        told: Called with `compose` and the share that is done.

    Raises `UsageError` where the score has no such bars, and the errors of what it uses.
    """
    from cmt_bridge.scoring.pipeline import Timings

    options = _options(score, request.path, request)
    wanted = _wanted(score, options.instruments, request)
    wanted.check(score)
    task = _task_of(request, score, wanted, options, control, {})
    return _composed(request, task, told, Timings())[1]


def other_model(score: Score, name: str, sha256: str) -> str:
    """Return a sentence where another model composes than made a score, nothing else.

    Args:
        score: The score.
        name: The name of the model that composes.
        sha256: The SHA-256 of its weights.
    """
    if score.provenance.model_sha256 in ("", sha256):
        return ""
    return f"The model that made the score, {score.provenance.model}, is not at hand: {name} did it."


def _task(request: RegenerateRequest, source: _Source) -> _Task:
    """Return what a request asks for. Raises `UsageError` and `InputError` for what cannot be."""
    from cmt_bridge.composition.plan import plan
    from cmt_bridge.outputs.edited import read_edited
    from cmt_bridge.outputs.scorefile import METADATA_NAME, read_metadata

    piece = source.score
    options = _options(piece, source.home, request)
    metadata = read_metadata(source.home / METADATA_NAME) if is_there(source.home / METADATA_NAME) else None
    base = request.base or _edited_midi(request, source)
    edited = read_edited(base) if base is not None else None
    control = None
    if metadata is not None:
        control = plan(metadata, edited.tempo_map if edited is not None else None)
    if edited is not None:
        bars = max(edited.bars, control.bars if control else 0)
        piece = replace(piece, tempo_map=edited.tempo_map, bars=bars, markers=edited.markers(piece.markers))
    wanted = _wanted(piece, options.instruments, request)
    if edited is not None:
        edited.check(wanted.bars)
        piece = replace(piece, tracks=edited.tracks(wanted.bars, wanted.instruments))
    wanted.check(piece)
    configured = read_config(source.home).score
    return _task_of(request, piece, wanted, options, control, configured, edited, metadata)


def _task_of(
    request: RegenerateRequest,
    piece: Score,
    wanted: Request,
    options: ComposeOptions,
    control: ControlTrack | None,
    configured: Settings,
    edited: Edited | None = None,
    metadata: VideoMetadata | None = None,
) -> _Task:
    """Return a task with its model and arithmetic. Raises `UsageError` where the model does not know the options."""
    from cmt_bridge.model.knowledge import knowledge_of
    from cmt_bridge.model.registry import find_model

    precision = request.precision or configured.get("precision", "")
    model, arithmetic = weights_of({"model": request.model or _model_of(piece, configured), "precision": precision})
    knowledge_of(find_model(model).path).check(options)
    return _Task(piece, wanted, options, control, model, arithmetic, edited, metadata)


def _composed(request: RegenerateRequest, task: _Task, told: Told, timings: Timings) -> tuple[Model, list[Regenerated]]:
    """Return the model and the candidates that it composed, the best first."""
    from cmt_bridge.scoring.infill import control_of
    from cmt_bridge.scoring.infill import regenerate as run
    from cmt_bridge.scoring.pipeline import load_engine

    control = control_of(task.piece) if task.control is None else _fitted(task.control, task.piece)
    if request.density:
        lively = tuple(max(1, min(16, density + request.density)) for density in control.density)
        control = replace(control, density=lively)
    with timings.part("load"):
        entry, engine = load_engine(task.model, task.precision)
    note = {"model": entry.name, "model_sha256": entry.sha256, "precision": task.precision, **_said(request)}
    with timings.part("compose"):
        found = run(
            task.piece,
            control,
            task.wanted,
            task.options,
            engine,
            candidates=max(request.candidates, request.variations),
            note=note,
            progress=lambda share: told("compose", share),
        )
    return entry, found


def _source(request: RegenerateRequest) -> _Source:
    """Find what is composed anew: what a request began with holds to its end. Raises `ScoreError` where nothing is."""
    from cmt_bridge.outputs.scorefile import find_score, read_score
    from cmt_bridge.takes.locate import find_take_folder

    path = request.path
    project = find_take_folder(path)
    if project is not None:
        begun = [project.take(t.info.origin) for t in project.takes_of(request.key) if t.info.origin is not None]
        inside = [t for t in project.takes() if t.folder.absolute() in (path.absolute(), *path.absolute().parents)]
        take = (begun + inside or [project.current()])[0]
        return _Source(take.score(), take.folder, project, take)
    if path.is_file() and path.suffix.lower() != ".json":
        raise ScoreError(f"{path} has no score yet.", hint=f"Make one: cmt-bridge score {path.name!r}.")
    return _Source(read_score(path), find_score(path).parent.absolute(), None, None)


def _edited_midi(request: RegenerateRequest, source: _Source) -> Path | None:
    """Return the MIDI file that says more than the score beside it, where somebody has edited it."""
    from cmt_bridge.outputs.midi import midi_bytes

    if source.take is not None:
        return source.take.midi if source.take.info.edited else None
    found = sorted(source.home.glob("*.mid")) if request.path.is_dir() else []
    return found[0] if len(found) == 1 and found[0].read_bytes() != midi_bytes(source.score) else None


def _fitted(control: ControlTrack, piece: Score) -> ControlTrack:
    """Return a control as long as a piece: bars beyond the picture's ask for what they have."""
    from cmt_bridge.scoring.infill import control_of

    if control.tempo_map != piece.tempo_map or control.bars > piece.bars:
        return control_of(piece)
    if control.bars == piece.bars:
        return control
    more = control_of(piece).density[control.bars :]
    return replace(control, density=(*control.density, *more), n_beat=piece.ticks)


def _wanted(score: Score, players: Sequence[Instrument], request: RegenerateRequest) -> Request:
    from cmt_bridge.core.anew import Request
    from cmt_bridge.core.instruments import Instrument
    from cmt_bridge.scoring.bars import bars_of

    bars = bars_of(score, bars=request.bars, start=request.start, end=request.end, marker=request.marker)
    chosen = [Instrument[name.upper()] for name in request.tracks] or players
    locked = [Instrument[name.upper()] for name in request.lock]
    return Request(bars, tuple(sorted(set(chosen) - set(locked))), keep=request.keep)


def _options(score: Score, home: Path, request: RegenerateRequest) -> ComposeOptions:
    """Return the options that the score was made with, but for what is wished otherwise."""
    from cmt_bridge.core.options import ComposeOptions

    try:
        made = ComposeOptions.from_json(score.provenance.options)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, UsageError) as error:
        raise ScoreError(
            f"The options in {home} are damaged: {fault_of(error)}.", hint="Write it anew with `score`."
        ) from error
    if request.control is not None:
        made = replace(made, density_control=(request.control,), beat_control=(request.control,))
    if request.density:
        made = replace(made, density_control=(1.0,))
    if request.temperature is not None:
        made = replace(made, temperature=dict.fromkeys(made.temperature, request.temperature))
    return replace(made, seed=secrets.randbelow(2**31) if request.seed is None else request.seed)


def _model_of(score: Score, configured: Settings) -> str:
    """Return the model that made a score, by its weights, where it is at hand or configured; the default else."""
    from cmt_bridge.model.registry import DEFAULT, find_model, list_models

    made = score.provenance.model_sha256
    model = configured.get("model")
    if model and find_model(model).sha256 == made:
        return model
    return next((model.name for model in list_models() if model.sha256 == made), DEFAULT)


def _said(request: RegenerateRequest) -> dict[str, Any]:
    """Return what a request asks for otherwise than the score was made."""
    said = {"control": request.control, "temperature": request.temperature}
    more = {"density": request.density, "keep": request.keep}
    return {
        **{name: value for name, value in said.items() if value is not None},
        **{name: value for name, value in more.items() if value},
    }


def _drafts(request: RegenerateRequest, source: _Source, task: _Task, kept: Sequence[Regenerated]) -> list[NewTake]:
    from cmt_bridge.outputs.edited import edited_of
    from cmt_bridge.outputs.splice import spliced
    from cmt_bridge.takes.take import NewTake, TakeInfo

    wanted, edited = task.wanted, task.edited
    made, key = now(), request.key or secrets.token_hex(8)
    asked = {
        "bars": [[first + 1, last] for first, last in wanted.bars],
        "tracks": [instrument.title for instrument in wanted.instruments],
        **_said(request),
        **({"base": request.base.name} if request.base is not None else {}),
    }
    drafts = []
    for each in kept:
        score, midi = each.score, None
        if edited is not None:
            midi = spliced(edited, score.notes(), wanted.bars, wanted.instruments)
            score = replace(score, tracks=edited_of(midi, edited.path).tracks())
        info = TakeInfo(
            "regenerate",
            made,
            key,
            each.seed,
            origin=source.take.number if source.take else None,
            surprise=each.surprise,
            edited=edited is not None,
            request=asked,
        )
        drafts.append(NewTake(score, info, task.metadata, midi))
    return drafts


def _beside(request: RegenerateRequest, source: _Source, drafts: Sequence[NewTake]) -> list[dict[str, Any]]:
    """Write takes as folders beside the score, or where they are wanted."""
    from cmt_bridge.takes.write import write_take

    base = source.home.with_name(re.sub(r" take \d+$", "", source.home.name))
    title = source.project.name if source.project else source.score.title or source.home.name
    takes = []
    for draft in drafts:
        folder = write_take(draft.score, draft.metadata, title, request.output or base, midi=draft.midi, fresh=True)
        takes.append(summary(draft.score, folder, draft.info.seed))
    return takes


def _told(takes: list[dict[str, Any]], kept: Sequence[Regenerated]) -> list[dict[str, Any]]:
    by_seed = {each.seed: each for each in kept}
    for take in takes:
        each = by_seed.get(take["seed"])
        take |= {"surprise": each.surprise, "held": each.held} if each else {}
    return takes


def _delivered(
    request: RegenerateRequest,
    project: TakeFolder,
    takes: list[Take],
    notes: list[str],
    seconds: dict[str, float],
    more: dict[str, Any],
) -> Outcome:
    outputs = read_config(project.folder.absolute().parent).outputs
    video = request.path if request.path.is_file() else _video_of(project)
    return delivered(project, takes, outputs, video, notes=notes, seconds=seconds, more=more)


def _video_of(project: TakeFolder) -> Path | None:
    there = (project.folder.with_name(video["name"]) for video in reversed(project.videos()))
    return next((path for path in there if path.is_file()), None)


def _sentence(each: Regenerated, wanted: Request) -> str:
    bars = ", ".join(f"{first + 1}-{last}" if last > first + 1 else str(last) for first, last in wanted.bars)
    tracks = ", ".join(instrument.title for instrument in wanted.instruments)
    notes = "1 note from before sounds" if each.held == 1 else f"{each.held} notes from before sound"
    held = f"; {notes} into them and {'was' if each.held == 1 else 'were'} left" if each.held else ""
    played = {instrument for instrument, note in each.score.notes() if wanted.has(instrument, note.onset)}
    silent = [instrument.title for instrument in wanted.instruments if instrument not in played]
    rest = f"; no notes for {', '.join(silent)}: the model lets {'it' if len(silent) == 1 else 'them'} rest there"
    return f"bars {bars} of {tracks}, seed {each.seed}{held}{rest if silent else ''}"
