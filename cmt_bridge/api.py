"""The Python interface: what `import cmt_bridge` offers, over the same functions as the command line."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

from cmt_bridge.core import score as core
from cmt_bridge.core.files import complete_path, is_there, new_file, new_folder
from cmt_bridge.core.instruments import Instrument
from cmt_bridge.core.options import AnalysisOptions, ComposeOptions
from cmt_bridge.errors import InputError, MissingError, OutputError, UsageError

if TYPE_CHECKING:
    from cmt_bridge.core.metadata import Cut, VideoMetadata, VisualBeat
    from cmt_bridge.core.tempo import TempoMap
    from cmt_bridge.model.paper_engine import Precision
    from cmt_bridge.scoring.pipeline import Picture

__all__ = ["Analysis", "LoadedModel", "Score", "analyze", "compose", "export", "load_model", "regenerate"]

AnyPath = str | os.PathLike[str]
OnProgress = Callable[[float], None]
Bars = int | str | range | tuple[int, int]


class ComposeSettings(TypedDict, total=False):
    """Options of `compose` by name; what is missing or None is as usual."""

    seed: int
    instruments: Sequence[str | Instrument] | str
    style: str
    key: str
    control: float | Sequence[float] | str
    density_control: float | Sequence[float] | str
    beat_control: float | Sequence[float] | str
    recall: float
    temperature: float | Mapping[str, float] | str
    nucleus: float | Mapping[str, float] | str
    polyphony: int | Mapping[str | Instrument, int] | str
    pitches: Mapping[str | Instrument, tuple[int, int]] | str


COMPOSED = tuple(ComposeSettings.__annotations__)


@dataclass(frozen=True)
class Analysis:
    """What was measured in a video, and the music that it asks for.

    `analyze` returns it. In a notebook it shows itself as a table.

    Attributes:
        path: The file that was analyzed.
        picture: Its title, its hash and its plan: onsets per bar and visual beats, in ticks.

    Example:
        >>> analysis = cmt.analyze("clip.mp4")  # doctest: +SKIP
        >>> analysis.tempo, len(analysis.cuts)  # doctest: +SKIP
        (96.0, 3)
    """

    path: Path
    picture: Picture

    @property
    def metadata(self) -> VideoMetadata | None:
        """All measures, in seconds; None where only a control array of the original was read."""
        return self.picture.metadata

    @property
    def tempo(self) -> float:
        """Tempo in BPM."""
        return self.tempo_map.bpm_at(0)

    @property
    def tempo_map(self) -> TempoMap:
        """The map between seconds and ticks."""
        return self.picture.control.tempo_map

    @property
    def bars(self) -> int:
        """Number of bars that cover the video."""
        return self.picture.control.bars

    @property
    def density(self) -> tuple[int, ...]:
        """Onsets that the picture asks for, one number for each bar."""
        return self.picture.control.density

    @property
    def beats(self) -> tuple[VisualBeat, ...]:
        """Visual beats, in order: `seconds`, and `weight` from 0 to 1."""
        return () if self.metadata is None else self.metadata.beats

    @property
    def cuts(self) -> tuple[Cut, ...]:
        """Cuts, in order: `seconds`, and `score` from 0 to 1."""
        return () if self.metadata is None else self.metadata.cuts

    def plot(self) -> Any:
        """Return a `matplotlib.figure.Figure` of pictures, motion, visual beats and cuts over time.

        Raises `InputError` where the analyzed file was no video or is another one by now, `MissingError` without
        matplotlib.
        """
        from cmt_bridge.video.cache import measured
        from cmt_bridge.video.figure import figure_of

        if self.metadata is None or self.path.suffix.lower() in (".json", ".npz"):
            raise InputError(f"{self.path} holds no pictures to draw.", hint="Analyze the video itself.")
        measurement = measured(self.path)
        if measurement.source.sha256 != self.picture.sha256:
            raise InputError(f"{self.path} changed since it was analyzed.", hint="Analyze it again.")
        try:
            return figure_of(measurement, self.metadata)
        except ModuleNotFoundError as error:
            raise _missing(error) from error

    def _repr_html_(self) -> str:
        rows = {
            "tempo": f"{self.tempo:.2f} BPM",
            "bars": self.bars,
            "visual beats": len(self.beats),
            "cuts": ", ".join(f"{cut.seconds:.2f} s" for cut in self.cuts[:20]) or "none",
        }
        cells = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in rows.items())
        return f"<table><caption>{escape(self.path.name)}</caption>{cells}</table>"


@dataclass(frozen=True)
class Score(core.Score):
    """A piece of music for a video: tracks of notes on a tempo map, markers and provenance.

    `compose` and `regenerate` return it; it is never changed. In a notebook it shows itself as a piano roll.

    Attributes:
        analysis: What it was composed for; None where nobody knows. It does not count when scores are compared.

    Example:
        >>> score.save("clip.mid")  # doctest: +SKIP
    """

    analysis: Analysis | None = field(default=None, compare=False, repr=False, kw_only=True)

    @classmethod
    def load(cls, path: AnyPath) -> Score:
        """Return the score of a score.json or of a take's folder, with the metadata.json beside it as its analysis.

        Args:
            path: The file or the folder.

        Raises `ScoreError` where there is none.
        """
        from cmt_bridge.outputs.scorefile import METADATA_NAME, find_score, read_score

        there = find_score(_path(path))
        beside = there.parent / METADATA_NAME
        return _score_of(read_score(there), analyze(beside) if is_there(beside) else None)

    def save(self, path: AnyPath, *, overwrite: bool = False) -> Path:
        """Write the score as a file, complete or not at all, and return its path.

        Args:
            path: A name that ends in .mid for MIDI, or in .json for a file that `Score.load` reads.
            overwrite: Whether a file of that name may be replaced.

        Raises `UsageError` for another ending, `OutputError` where it is there already or cannot be written.
        """
        from cmt_bridge.outputs.midi import write_midi
        from cmt_bridge.outputs.scorefile import write_score

        target = _path(path)
        writers = {".mid": write_midi, ".midi": write_midi, ".json": write_score}
        write = writers.get(target.suffix.lower())
        if write is None:
            raise UsageError(f"A score cannot be saved as {target.name}.", hint="Let the name end in .mid or .json.")
        _put(target, lambda file: write(self, file), overwrite=overwrite)
        return target

    def to_midi(self) -> bytes:
        """Return the score as the bytes of a MIDI file, the same that `score` of the command line writes."""
        from cmt_bridge.outputs.midi import midi_bytes

        return midi_bytes(self)

    def to_symusic(self) -> Any:
        """Return the score as a `symusic.Score`, in ticks of 480 a quarter."""
        import symusic

        return symusic.Score.from_midi(self.to_midi())

    def to_pretty_midi(self) -> Any:
        """Return the score as a `pretty_midi.PrettyMIDI`. Raises `MissingError` where that is not installed."""
        try:
            import pretty_midi
        except ModuleNotFoundError as error:
            raise _missing(error) from error
        return pretty_midi.PrettyMIDI(io.BytesIO(self.to_midi()))

    def _repr_html_(self) -> str:
        from cmt_bridge.outputs.pianoroll import piano_roll

        return piano_roll(self)


@dataclass(frozen=True)
class LoadedModel:
    """A model that is loaded; `load_model` returns it, `compose` and `regenerate` take it.

    Attributes:
        name: Its name.
        sha256: The SHA-256 of its weights.
        precision: The arithmetic: `float32`, `bfloat16` or `int8`.
        source: The name or path that it was loaded by.

    Example:
        >>> model = cmt.load_model("cmt-composer")  # doctest: +SKIP
    """

    name: str
    sha256: str
    precision: Precision
    source: str


def load_model(model: AnyPath | None = None, *, precision: Precision = "float32") -> LoadedModel:
    """Load a model, so that the first `compose` need not; models stay loaded within the process.

    Args:
        model: Its name, or the path of its weights; the usual one where it is None.
        precision: The arithmetic: `float32`, `bfloat16`, or `int8`, which is fastest.

    Returns the model, for `compose` and `regenerate`. Raises `UsageError` for an unknown name, `CheckpointError` for
    weights that cannot be used.

    Example:
        >>> model = cmt.load_model(precision="int8")  # doctest: +SKIP
    """
    from cmt_bridge.model.registry import DEFAULT
    from cmt_bridge.scoring.pipeline import load_engine
    from cmt_bridge.settings import setting

    source = DEFAULT if model is None else os.fspath(model)
    arithmetic: Precision = setting("score", "precision").read(precision)
    entry, _ = load_engine(source, arithmetic)
    return LoadedModel(entry.name, entry.sha256, arithmetic, source)


def analyze(
    video: AnyPath,
    *,
    tempo: float | None = None,
    tempo_range: tuple[float, float] = (60.0, 160.0),
    cut_sensitivity: float = 0.5,
    on_progress: OnProgress | None = None,
) -> Analysis:
    """Measure a video: tempo, visual beats, cuts and motion. A video is measured once and remembered.

    Args:
        video: A video, or what was measured before: a metadata.json, or a .npz of the original.
        tempo: Tempo in BPM; None looks for it.
        tempo_range: The lowest and the highest tempo to look for, in BPM.
        cut_sensitivity: From 0, only the most abrupt cuts, to 1, every suspicion.
        on_progress: Called with the share that is done, from 0 to 1. What it raises ends the analysis.

    Returns the analysis. Raises `VideoError` where the file cannot be used, `UsageError` for a value that is not
    allowed.

    Example:
        >>> analysis = cmt.analyze("clip.mp4", tempo_range=(80, 120))  # doctest: +SKIP
    """
    from cmt_bridge.scoring.pipeline import look_at
    from cmt_bridge.settings import setting

    low, high = setting("score", "tempo_range").read(tempo_range)
    options = AnalysisOptions(
        tempo=None if tempo is None else setting("score", "tempo").read(tempo),
        tempo_low=low,
        tempo_high=high,
        cut_sensitivity=setting("score", "cut_sensitivity").read(cut_sensitivity),
    )
    path, told = _path(video), on_progress or _ignore
    picture = look_at(path, options, progress=told)
    told(1.0)
    return Analysis(path, picture)


def compose(
    analysis: Analysis | AnyPath,
    options: ComposeOptions | None = None,
    *,
    model: LoadedModel | AnyPath | None = None,
    on_progress: OnProgress | None = None,
    **settings: Unpack[ComposeSettings],
) -> Score:
    """Compose music for a video. The same analysis, options, model and seed give the same notes.

    Args:
        analysis: What `analyze` returned, or the path of a video.
        options: All options as one value, instead of `settings`.
        model: What `load_model` returned, or a name, or the path of weights; the usual model where it is None.
        on_progress: Called with the share that is done, from 0 to 1. What it raises ends the composition.
        settings: Options by the names of the command line: `seed`, `instruments`, `style`, `key`, `control`,
            `density_control`, `beat_control`, `recall`, `temperature`, `nucleus`, `polyphony`, `pitches`.

    Returns the score. Raises `UsageError` for a value that is not allowed, `TypeError` for an unknown name or another
    type than these.

    Example:
        >>> score = cmt.compose(analysis, seed=1, instruments=["piano", "strings"])  # doctest: +SKIP
    """
    from cmt_bridge.model.knowledge import knowledge_of
    from cmt_bridge.model.registry import find_model
    from cmt_bridge.scoring.pipeline import score_picture

    if options is None:
        options = _options(settings)
    elif settings:
        raise TypeError("compose() takes options or settings by name, not both")
    elif not isinstance(options, ComposeOptions):
        raise TypeError(f"options must be ComposeOptions, not {type(options).__name__}")
    source, precision = _weights(model)
    knowledge_of(find_model(source).path).check(options)
    if not isinstance(analysis, Analysis):
        analysis = analyze(analysis)
    told = on_progress or _ignore
    (made,) = score_picture(analysis.picture, options, model=source, precision=precision, progress=told)
    told(1.0)
    return _score_of(made, analysis)


def regenerate(
    score: Score,
    *,
    bars: Bars | Sequence[Bars],
    tracks: Sequence[str | Instrument] = (),
    lock: Sequence[str | Instrument] = (),
    keep: Literal["", "rhythm", "pitches"] = "",
    seed: int | None = None,
    candidates: int | None = None,
    control: float | None = None,
    density: int = 0,
    temperature: float | None = None,
    model: LoadedModel | AnyPath | None = None,
    on_progress: OnProgress | None = None,
) -> Score:
    """Compose bars of a score anew. All notes outside of these bars and tracks stay as they are.

    Args:
        score: What `compose` or `Score.load` returned; it is not changed.
        bars: Bars from 1: `"4-8"`, `"4-8,13"`, `(4, 8)` for the first and the last, `range(4, 9)`, or one number.
        tracks: Tracks to compose; all where it is empty.
        lock: Tracks to leave as they are.
        keep: `rhythm` or `pitches`, to keep those of the bars.
        seed: Seed of the first candidate; None takes a new one.
        candidates: How many to compose; the one that leads best into the next bars is taken. None is as usual.
        control: How closely to follow the picture, from 0 to 1; None is as for the score.
        density: Onsets that each bar has more, or fewer, than the picture asks for.
        temperature: How adventurous to be; None is as for the score.
        model: As for `compose`; None takes the model that made the score, or warns and takes the usual one.
        on_progress: Called with the share that is done, from 0 to 1. What it raises ends it.

    Returns a new score. Raises `UsageError` where the score has no such bars, or for a value that is not allowed.

    Example:
        >>> score = cmt.regenerate(score, bars="4-8", tracks=["drums"])  # doctest: +SKIP
    """
    from cmt_bridge.scoring.regenerate import RegenerateRequest, other_model, regenerate_score
    from cmt_bridge.settings import setting

    if not isinstance(score, Score):
        raise TypeError(f"score must be a cmt_bridge.Score, not {type(score).__name__}")
    chosen = _weights(model) if model is not None else None
    request = RegenerateRequest(
        Path(score.title or "score"),
        bars=_bars_text(bars),
        tracks=_plain(tracks),
        lock=_plain(lock),
        keep=keep,
        candidates=setting("regenerate", "candidates").default if candidates is None else candidates,
        seed=seed,
        control=control,
        density=density,
        temperature=temperature,
        model=None if chosen is None else chosen[0],
        precision=None if chosen is None else chosen[1],
    )
    picture = score.analysis.picture.control if score.analysis is not None else None
    told = on_progress or _ignore
    found = regenerate_score(score, picture, request, lambda _, share: told(share))
    told(1.0)
    did = found[0].score.provenance.options["regenerated"][-1]
    note = other_model(score, did["model"], did["model_sha256"]) if chosen is None else ""
    if note:
        warnings.warn(note, stacklevel=2)
    return _score_of(found[0].score, score.analysis)


def export(
    score: Score,
    format: str,  # noqa: A002 - the field's word
    path: AnyPath,
    *,
    start: str = "",
    rate: str = "",
    overwrite: bool = False,
) -> Path:
    """Write a score as a project of a DAW, a timeline or a list of hit points, complete or not at all.

    Args:
        score: What `compose` or `regenerate` returned; its video is in the project where it is still there.
        format: reaper, dawproject, ardour, midi, garageband, parts, otio, csv or edl, or the name of a DAW.
        path: The file to write; a folder that is not there yet for ardour and parts.
        start: Timecode of the first picture, such as 01:00:00:00; the video's own where it is empty.
        rate: Rate at which timecode counts, such as 25; the video's own where it is empty.
        overwrite: Whether a file of that name may be replaced; folders never are.

    Returns the path. Raises `UsageError` for an unknown format, `OutputError` where the path is there already or cannot
    be written.

    Example:
        >>> cmt.export(score, "reaper", "clip.RPP")  # doctest: +SKIP
    """
    from cmt_bridge.scoring.export import film_of, format_of, writer_of

    if not isinstance(score, Score):
        raise TypeError(f"score must be a cmt_bridge.Score, not {type(score).__name__}")
    analysis, target = score.analysis, _path(path)
    film = None if analysis is None or analysis.metadata is None else film_of(analysis.path, analysis.metadata)
    write = writer_of(score, format, target, film=film, start=start, rate=rate)
    if format_of(format).is_folder:
        _refuse_taken(target)
        new_folder((target,), write)
    else:
        _put(target, write, overwrite=overwrite)
    return target


def _ignore(share: float) -> None:
    pass


def _path(path: AnyPath) -> Path:
    return Path(os.fspath(path))


def _put(path: Path, write: Callable[[Path], object], *, overwrite: bool) -> None:
    if overwrite and not path.is_dir():
        with complete_path(path) as temporary:
            write(temporary)
        return
    _refuse_taken(path)
    new_file((path,), write)


def _refuse_taken(path: Path) -> None:
    if is_there(path):
        raise OutputError(f"{path} exists already.", hint="Give another name, or overwrite=True for a file.")


def _missing(error: ModuleNotFoundError) -> MissingError:
    name = error.name or "matplotlib"
    return MissingError(f"{name} is not installed.", hint=f"Install it: pip install {name}.")


def _weights(model: LoadedModel | AnyPath | None) -> tuple[str, Precision]:
    from cmt_bridge.model.registry import DEFAULT

    if isinstance(model, LoadedModel):
        return model.source, model.precision
    return (DEFAULT if model is None else os.fspath(model)), "float32"


def _score_of(score: core.Score, analysis: Analysis | None) -> Score:
    return Score(**{each.name: getattr(score, each.name) for each in fields(core.Score)}, analysis=analysis)


def _options(settings: Mapping[str, Any]) -> ComposeOptions:
    """Return the options of settings by name, as the command line reads them."""
    from cmt_bridge.settings import as_text, compose_options, setting

    unknown = sorted(settings.keys() - set(COMPOSED))
    if unknown:
        raise TypeError(f"compose() has no option {unknown[0]!r}; known: {', '.join(COMPOSED)}")
    texts = {}
    for name, value in settings.items():
        if value is None:
            continue
        if name.endswith("control") and isinstance(value, Sequence) and not isinstance(value, str):
            value = ",".join(f"{bar}:{as_text(each)}" for bar, each in enumerate(value, 1))
        value = _plain(value)
        setting("score", name).read(value)
        texts[name] = as_text(value)
    return compose_options(texts)


def _plain(value: Any) -> Any:
    """Return a value with its instruments by name, and sequences as tuples."""
    if isinstance(value, Instrument):
        return value.name.lower()
    if isinstance(value, Mapping):
        return {_plain(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return tuple(map(_plain, value))
    return value


def _bars_text(bars: Any) -> str:
    """Return bars as the command line has them."""
    match bars:
        case str():
            return bars
        case bool():
            pass
        case int():
            return str(bars)
        case range(step=1):
            return f"{bars.start}-{bars.stop - 1}"
        case (int(first), int(last)) if isinstance(bars, tuple):
            return f"{first}-{last}"
        case list() | tuple():
            return ",".join(map(_bars_text, bars))
    raise TypeError(f"bars must be such as '4-8', (4, 8) or range(4, 9), not {bars!r}")
