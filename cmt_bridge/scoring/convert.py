"""Convert between MIDI files, scores, and the array files of the original CMT."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Final

import numpy as np

from cmt_bridge import __version__
from cmt_bridge.composition import codec
from cmt_bridge.composition.plan import DENSITY_THRESHOLDS, STRENGTH_THRESHOLDS, density_class, strength_class
from cmt_bridge.core.bounds import check_bars, fault_of
from cmt_bridge.core.control import ControlBeat, ControlTrack
from cmt_bridge.core.files import new_file, numbered
from cmt_bridge.core.instruments import PARTS, Instrument
from cmt_bridge.core.metadata import VideoMetadata, VideoSource, VisualBeat
from cmt_bridge.core.paths import takes_paths
from cmt_bridge.core.score import Marker, Note, Provenance, Score, Track
from cmt_bridge.core.song import Song, SongTrack
from cmt_bridge.core.tempo import BEATS_PER_BAR, MAX_USPQ, TICKS_PER_BAR, TICKS_PER_QUARTER, TempoMap, bpm_to_uspq
from cmt_bridge.core.tokens import BAR, MAX_POSITION, Column
from cmt_bridge.errors import InputError, MidiError, OutputError, ScoreError, UsageError
from cmt_bridge.midi.file import MIDI_SUFFIXES, find_midi, read_midi
from cmt_bridge.midi.line import markers_of
from cmt_bridge.midi.markers import kind_of as marker_kind
from cmt_bridge.midi.provenance import provenance_of
from cmt_bridge.midi.song import read_song, song_of
from cmt_bridge.outputs.midi import write_midi
from cmt_bridge.outputs.npz import TokenSong, kind_of, read_control, read_songs, write_control, write_songs
from cmt_bridge.outputs.scorefile import SCORE_NAME, read_json, read_score, write_json, write_score

__all__ = ["DEFAULT_BPM", "LEAST_NOTES", "Conversion", "Converted", "convert"]

LEAST_NOTES: Final = 20  # the original leaves out tracks of this many notes or fewer
DEFAULT_BPM: Final = 120.0  # what a MIDI file means that states no tempo
MAX_SECONDS: Final = 86_400.0  # metadata of a longer video is damaged


@dataclass(frozen=True)
class Conversion:
    """How files are converted.

    Attributes:
        tempo: Tempo in BPM of what comes out of a .npz, which states none.
        least_notes: From MIDI or a score to a .npz, tracks of this many notes or fewer are left out.
        force: Whether the target is replaced where it exists.
        on_note: Called with a sentence about what could not be converted as it is.
    """

    tempo: float = DEFAULT_BPM
    least_notes: int = LEAST_NOTES
    force: bool = False
    on_note: Callable[[str], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class Converted:
    """What a conversion came to: what the source was, and the files written."""

    kind: str
    files: tuple[Path, ...]


@takes_paths
def convert(source: Path, target: Path, how: Conversion | None = None) -> Converted:
    """Convert a file, or a folder of MIDI files; what they are is told from their names and content.

    A .mid becomes a .npz of compound words or a score.json; a score a .mid or a .npz; a .npz of songs .mid files or
    scores, in a folder where it holds several; a folder of MIDI files one .npz; metadata.json the .npz of a video, and
    that metadata.json again.

    Args:
        source: What to convert.
        target: The file to write; a folder for the songs of a .npz that holds several.
        how: How to convert; as usual where it is None.

    Raises:
        UsageError: The one cannot become the other.
        InputError: The source cannot be read.
        OutputError: The target exists, or cannot be written.

    >>> convert("song.mid", "song.npz").files
    (PosixPath('song.npz'),)
    """
    how = how or Conversion()
    kind = _kind(source)
    form = target.suffix.lower()
    route = ROUTES.get((kind, ".mid" if form == ".midi" else form))
    if route is None:
        forms = ", ".join(sorted(form or "a folder" for known, form in ROUTES if known == kind))
        raise UsageError(f"{source.name} ({NAMES[kind]}) cannot become {target.name}.", hint=f"Possible: {forms}.")
    if target.exists() and not how.force:
        raise OutputError(f"{target} exists already.", hint="Name another file, or add --force to replace it.")
    return Converted(kind, tuple(route(source, target, how)))


NAMES: Final[Mapping[str, str]] = {
    "midi": "a MIDI file",
    "score": "a score",
    "metadata": "video metadata",
    "songs": "songs",
    "video": "the control of a video",
    "folder": "a folder of MIDI files",
}


def _kind(path: Path) -> str:
    if path.is_dir():
        return "score" if (path / SCORE_NAME).is_file() else "folder"
    if not path.exists():
        raise InputError(f"There is no file {path}.", hint="Check the path.")
    suffix = path.suffix.lower()
    if suffix in MIDI_SUFFIXES:
        return "midi"
    if suffix == ".npz":
        return kind_of(path)
    if suffix == ".json":
        data = read_json(path)
        return "metadata" if isinstance(data, dict) and "vbeats" in data else "score"
    raise UsageError(
        f"{path.name} is nothing that can be converted.",
        hint="Give a .mid, .json or .npz file; a video is measured with `analyze`.",
    )


# MIDI and scores to compound words


def _token_song(song: Song, path: Path, how: Conversion) -> TokenSong:
    notes, length = codec.quantize(song, least_notes=how.least_notes, tidy=False)
    if not len(notes):
        raise MidiError(
            f"{path} has no track of more than {how.least_notes} notes for one of the five instruments.",
            hint="Lower --least-notes.",
        )
    if length > MAX_POSITION:
        how.on_note(f"{path.name} lasts {length} sixteenths; the network knows {MAX_POSITION} only.")
    used = [track for track in song.tracks if track.instrument and len(track.notes) > how.least_notes]
    names = tuple(track.instrument.title for track in used if track.instrument)
    return TokenSong(song.name, codec.encode(notes, codec.bars_of(length)), length, names)


def _song_of(score: Score, name: str) -> Song:

    tracks = tuple(
        SongTrack(
            track.name,
            track.program,
            track.name == "Drums",
            track.instrument,
            np.array([(n.onset, n.end, n.pitch, n.velocity) for n in track.notes], np.int64).reshape(-1, 4),
        )
        for track in score.tracks
    )
    return Song(name, TICKS_PER_QUARTER, tracks)


def _midi_to_npz(source: Path, target: Path, how: Conversion) -> list[Path]:
    write_songs([_token_song(read_song(source), source, how)], target)
    return [target]


def _score_to_npz(source: Path, target: Path, how: Conversion) -> list[Path]:
    song = _song_of(read_score(source), source.absolute().name if source.is_dir() else source.stem)
    write_songs([_token_song(song, source, how)], target)
    return [target]


def _folder_to_npz(source: Path, target: Path, how: Conversion) -> list[Path]:
    songs = []
    for path in find_midi(source):
        try:
            songs.append(_token_song(read_song(path), path, how))
        except InputError as error:
            how.on_note(f"skipped: {error}")
    if not songs:
        raise InputError(f"{source} holds no MIDI file that can be converted.", hint="Give a folder of MIDI files.")
    write_songs(songs, target)
    return [target]


# Compound words and MIDI to scores


def _score_of_tokens(song: TokenSong, tempo: float, *, tidy: bool) -> Score:
    """Make a score of a song's words; `tidy` gives every note at least one tick, as a score on the grid wants it."""
    notes = codec.decode(song.rows)
    if not len(notes):
        raise ScoreError(f"{song.name} holds no notes.", hint="Give a .npz with a song in it.")
    # A .npz names no programs: those that the original writes, but for its drums, whose kit no player has.
    programs = {instrument: PARTS[instrument].program for instrument in Instrument} | {Instrument.STRINGS: 41}
    tracks = tuple(
        Track(
            instrument,
            programs[instrument],
            tuple(
                Note(onset, pitch, max(int(tidy), duration), velocity)
                for onset, _, pitch, duration, velocity in notes[notes[:, codec.Grid.INSTRUMENT] == instrument].tolist()
            ),
        )
        for instrument in Instrument
    )
    return Score(
        tempo_map=TempoMap.constant(tempo),
        tracks=tracks,
        bars=int((song.rows[:, Column.BEAT] == BAR).sum()),
        title=song.name,
        provenance=Provenance(version=__version__),
    )


def _songs_to(source: Path, target: Path, write: Callable[[TokenSong, Path], None], suffix: str) -> list[Path]:
    """Write the one song of a file to `target`, or several into a folder of that name."""

    songs = read_songs(source)
    first, second = next(songs, None), next(songs, None)
    if first is None:
        raise ScoreError(f"{source} holds no song.", hint="Give a .npz with songs in it.")
    if target.suffix:
        if second is not None:
            raise UsageError(f"{source.name} holds several songs.", hint="Give a folder as OUT.")
        write(first, target)
        return [target]
    return [
        new_file(numbered(target / f"{song.name}{suffix}"), partial(write, song))
        for song in chain([first], [second] if second else [], songs)
    ]


def _songs_to_midi(source: Path, target: Path, how: Conversion) -> list[Path]:
    def write(song: TokenSong, path: Path) -> None:
        write_midi(_score_of_tokens(song, how.tempo, tidy=False), path, keep_overlaps=True)

    return _songs_to(source, target, write, ".mid")


def _songs_to_score(source: Path, target: Path, how: Conversion) -> list[Path]:
    def write(song: TokenSong, path: Path) -> None:
        write_score(_score_of_tokens(song, how.tempo, tidy=True), path)

    return _songs_to(source, target, write, ".json")


def _tempo_map_of(song: Song) -> TempoMap:
    """Return the tempos of a MIDI file on the sixteenth grid; 120 BPM until the first, as MIDI has it."""
    changes = {0: bpm_to_uspq(DEFAULT_BPM)}
    for tick, uspq in song.tempos:
        changes[round(tick * TICKS_PER_QUARTER / song.ticks_per_quarter)] = min(uspq, MAX_USPQ)
    return TempoMap.of(sorted(changes.items()))


def _midi_to_score(source: Path, target: Path, how: Conversion) -> list[Path]:
    file = read_midi(source)
    song = song_of(file, source)
    notes, length = codec.quantize(song)
    if not len(notes):
        raise MidiError(f"{source} has no track for one of the five instruments.", hint="Give other music.")
    for track in song.tracks:
        if track.instrument is None and len(track.notes):
            how.on_note(f"left out: track {track.name!r}, which none of the five instruments plays.")
    if any(numerator * 4 != denominator * BEATS_PER_BAR for _, numerator, denominator in song.metres):
        how.on_note(f"{source.name} is not in 4/4 throughout; its bars are counted as 4/4.")
    tempo_map = _tempo_map_of(song)
    grid = Fraction(TICKS_PER_QUARTER, song.ticks_per_quarter)
    markers = [(float(tempo_map.seconds(tick * grid)), text) for tick, text in markers_of(file)]
    score = Score(
        tempo_map=tempo_map,
        tracks=codec.tracks_of(notes),
        bars=max(1, -(-length // TICKS_PER_BAR)),
        title=song.name,
        markers=tuple(Marker(seconds, marker_kind(text), text) for seconds, text in markers),
        provenance=provenance_of(file) or Provenance(version=__version__),
    )
    write_score(score, target)
    return [target]


def _score_to_midi(source: Path, target: Path, _: Conversion) -> list[Path]:
    write_midi(read_score(source), target)
    return [target]


# Videos


def _original_control(metadata: VideoMetadata, ticks: list[int]) -> ControlTrack:
    """Map metadata to control as the original does; `ticks` are those of its visual beats.

    Every bar gets the class of its flow as it is: nothing keeps a calm bar from 0, which `plan` does.
    """
    beats: dict[int, int] = {}
    for tick, beat in zip(ticks, metadata.beats, strict=True):
        beats[tick] = max(strength_class(beat.weight), beats.get(tick, 0))
    density = [density_class(flow) for flow in metadata.flow_per_bar] or [0]
    density += density[-1:] * (max(beats, default=0) // TICKS_PER_BAR + 1 - len(density))
    return ControlTrack(
        TempoMap.constant(metadata.tempo),
        tuple(density),
        tuple(ControlBeat(*beat) for beat in sorted(beats.items())),
        n_beat=max(1, math.ceil(metadata.duration / 60 * metadata.tempo * TICKS_PER_QUARTER)),
    )


def _metadata_to_npz(source: Path, target: Path, _: Conversion) -> list[Path]:
    data = read_json(source)
    metadata = VideoMetadata.from_json(data, source=str(source))
    if not (0 < metadata.duration < MAX_SECONDS and all(0 <= b.seconds < MAX_SECONDS for b in metadata.beats)):
        raise ScoreError(f"{source} states impossible times.", hint="Write it anew with `analyze`.")
    check_bars(str(source), metadata.duration, metadata.tempo, ScoreError)
    try:
        tempo_map = TempoMap.constant(metadata.tempo)
        ticks = [
            int(vbeat["bar"]) * TICKS_PER_BAR + int(vbeat["tick"])
            if {"bar", "tick"} <= vbeat.keys()
            else tempo_map.tick_at(beat.seconds)
            for vbeat, beat in zip(data["vbeats"], metadata.beats, strict=True)
        ]
        if not all(0 <= tick <= tempo_map.ticks(MAX_SECONDS) for tick in ticks):
            raise ValueError("a visual beat lies outside")
    except (UsageError, AttributeError, TypeError, ValueError, OverflowError) as error:
        raise ScoreError(f"{source} is damaged: {fault_of(error)}.", hint="Write it anew with `analyze`.") from error
    write_control(_original_control(metadata, ticks), target)
    return [target]


def _middle(thresholds: Sequence[float], number: int) -> float:
    """Return a value in the middle of a class, or the lowest of the highest class."""
    below = thresholds[number - 1] if number else 0.0
    return (below + thresholds[number]) / 2 if number < len(thresholds) else thresholds[-1]


def _metadata_of(control: ControlTrack, name: str) -> VideoMetadata:
    """Return metadata that maps to this control again; its figures are the middles of their classes."""
    tempo_map = control.tempo_map
    strongest = len(STRENGTH_THRESHOLDS)
    return VideoMetadata(
        source=VideoSource(name, sha256="", width=0, height=0, rotation=0, frame_rate=(0, 1), frames=0),
        duration=float(tempo_map.seconds(control.n_beat - Fraction(1, 4))),  # rounds, and rounds up, to the same tick
        tempo=tempo_map.bpm_at(0),
        tempo_source="given",
        beats=tuple(
            VisualBeat(
                float(tempo_map.seconds(beat.tick)),
                _middle(STRENGTH_THRESHOLDS, min(max(beat.strength, 1), strongest)),
            )
            for beat in control.beats
        ),
        cuts=(),
        flow_per_bar=tuple(_middle(DENSITY_THRESHOLDS, density) for density in control.density),
    )


def _video_to_metadata(source: Path, target: Path, how: Conversion) -> list[Path]:
    control = read_control(source, TempoMap.constant(how.tempo))
    write_json(_metadata_of(control, source.stem).to_json(), target)
    return [target]


Route = Callable[[Path, Path, Conversion], list[Path]]
ROUTES: Final[Mapping[tuple[str, str], Route]] = {
    ("midi", ".npz"): _midi_to_npz,
    ("midi", ".json"): _midi_to_score,
    ("score", ".mid"): _score_to_midi,
    ("score", ".npz"): _score_to_npz,
    ("songs", ".mid"): _songs_to_midi,
    ("songs", ".json"): _songs_to_score,
    ("songs", ""): _songs_to_midi,
    ("folder", ".npz"): _folder_to_npz,
    ("metadata", ".npz"): _metadata_to_npz,
    ("video", ".json"): _video_to_metadata,
}
