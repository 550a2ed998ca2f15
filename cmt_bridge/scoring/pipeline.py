"""The corridor: analyze → plan → decode → engrave → deliver. Every stage gives a value that can be kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmt_bridge import __version__
from cmt_bridge.composition.plan import at_tempo, plan
from cmt_bridge.composition.realize import realize
from cmt_bridge.core.control import ControlTrack
from cmt_bridge.core.files import sha256_of, short
from cmt_bridge.core.key import heard_key
from cmt_bridge.core.metadata import VideoMetadata
from cmt_bridge.core.options import AnalysisOptions, ComposeOptions
from cmt_bridge.core.paths import takes_paths
from cmt_bridge.core.score import Provenance, Score
from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.outputs.npz import read_control
from cmt_bridge.outputs.scorefile import (
    METADATA_NAME,
    read_metadata,
)
from cmt_bridge.takes.write import write_take

if TYPE_CHECKING:
    from cmt_bridge.model.event_decoder import EventEngine
    from cmt_bridge.model.paper_engine import PaperEngine, Precision
    from cmt_bridge.model.registry import Model

__all__ = [
    "Picture",
    "Progress",
    "Timings",
    "deliver",
    "load_engine",
    "look_at",
    "provenance_of",
    "score_picture",
    "titled",
]

Progress = Callable[[float], None]
ARRAY_TEMPO = 120.0  # BPM, where a control array comes without a tempo


@dataclass(frozen=True)
class Picture:
    """What is known of the picture: its control, the metadata it came from if any, and what is broken in the file."""

    title: str
    sha256: str
    control: ControlTrack
    metadata: VideoMetadata | None = None
    damage: str = ""


@dataclass
class Timings:
    """Seconds taken by each part, in order."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Add the time of the body to a part."""
        start = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - start


@takes_paths
def look_at(
    path: Path,
    options: AnalysisOptions | None = None,
    *,
    sha256: str = "",
    progress: Progress | None = None,
    timings: Timings | None = None,
) -> Picture:
    """Measure a video, or read a `metadata.json` or a video's `.npz` of the original, and plan its music.

    A `.npz` has no tempo: the one of `options` is taken, then that of a `metadata.json` beside it, then 120 BPM.
    `sha256` is that of a video where it is known already.
    """
    options = options or AnalysisOptions()
    timings = timings or Timings()
    suffix = path.suffix.lower()
    if suffix == ".npz":
        control = read_control(path, TempoMap.constant(_array_tempo(path, options)))
        return Picture(titled(path.stem), sha256_of(path), control)
    if suffix == ".json":
        metadata = read_metadata(path)
        if options.tempo is not None:
            metadata = at_tempo(metadata, options.tempo)
        title = Path(metadata.source.name).stem if metadata.source.sha256 else path.stem
        return Picture(titled(title), metadata.source.sha256 or sha256_of(path), plan(metadata), metadata)
    from cmt_bridge.video.analysis import analyze
    from cmt_bridge.video.cache import measured

    with timings.part("measure"):
        measurement = measured(path, progress=progress, sha256=sha256)
    with timings.part("analyze"):
        metadata = analyze(measurement, options)
    return Picture(titled(path.stem), metadata.source.sha256, plan(metadata), metadata, measurement.damage)


def titled(name: str) -> str:
    """Return a clip's name as one that files and folders can have anywhere: printable, not hidden, empty or too
    long.
    """
    return short("".join(letter if letter.isprintable() else "_" for letter in name).strip(". ") or "clip")


def _array_tempo(path: Path, options: AnalysisOptions) -> float:
    beside = path.with_name(METADATA_NAME)
    if options.tempo is not None:
        return options.tempo
    return read_metadata(beside).tempo if beside.is_file() else ARRAY_TEMPO


def load_engine(model: str, precision: Precision = "float32") -> tuple[Model, PaperEngine | EventEngine]:
    """Return a model by name or path, and what decodes with it; those of the last two calls are at hand at once."""
    import torch

    from cmt_bridge.model.registry import find_model

    torch.set_num_threads(1)  # a word is too small to share out, and one thread gives the same sums everywhere
    entry = find_model(model)
    return entry, _engine(entry.path, entry.sha256, precision)


@lru_cache(maxsize=2)
def _engine(path: Path, sha256: str, precision: Precision) -> PaperEngine | EventEngine:  # noqa: ARG001
    from cmt_bridge.model.checkpoint import load_network
    from cmt_bridge.model.decoding import engine_for

    return engine_for(load_network(path), precision)


def score_picture(
    picture: Picture,
    options: ComposeOptions,
    *,
    model: str,
    precision: Precision = "float32",
    variations: int = 1,
    progress: Progress | None = None,
    timings: Timings | None = None,
) -> list[Score]:
    """Compose `variations` scores for a picture, in one batch, with seeds counting up from the options'."""
    timings = timings or Timings()
    with timings.part("load"):
        from cmt_bridge.model.decoding import Decoding, compose

        entry, engine = load_engine(model, precision)
    seeds = [options.seed + n for n in range(variations)]
    with timings.part("compose"):
        words = compose(Decoding(engine, picture.control, options, seeds=seeds), progress)
    scores = []
    with timings.part("engrave"):
        for seed, rows in zip(seeds, words, strict=True):
            chosen = replace(options, seed=seed)
            batch = {"first_seed": seeds[0], "variations": variations}
            provenance = provenance_of(picture, entry, chosen, precision, batch)
            score = realize(
                rows,
                picture.control,
                chosen,
                metadata=picture.metadata,
                title=picture.title,
                provenance=provenance,
            )
            scores.append(_with_heard_key(score) if options.key else score)
    return scores


def _with_heard_key(score: Score) -> Score:
    """Return a score that was asked for in a key with the key that it is heard in beside it."""
    options = {**score.provenance.options, "heard_key": heard_key(score.notes())}
    return replace(score, provenance=replace(score.provenance, options=options))


def provenance_of(
    picture: Picture, model: Model, options: ComposeOptions, precision: Precision, more: Mapping[str, Any]
) -> Provenance:
    """Return where a score for a picture came from; `more` goes among its options."""
    return Provenance(
        version=__version__,
        model=model.name,
        model_sha256=model.sha256,
        video=picture.metadata.source.name if picture.metadata else picture.title,
        video_sha256=picture.sha256,
        seed=options.seed,
        options={**options.to_json(), "precision": precision, **more},
    )


@takes_paths
def deliver(scores: Sequence[Score], picture: Picture, folder: Path) -> list[Path]:
    """Write each score to a folder of its own, complete or not at all: MIDI, score.json and the metadata.

    Returns the folders, which are new: `folder` or, where something is in it, a later take.
    """
    return [write_take(score, picture.metadata, picture.title, folder, fresh=True) for score in scores]
