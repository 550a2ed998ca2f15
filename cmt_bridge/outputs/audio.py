"""Sound of a score: a SoundFont found on this computer, played by a synthesizer into samples."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from cmt_bridge.core.files import complete_path
from cmt_bridge.core.paths import takes_paths
from cmt_bridge.core.song import SongTrack
from cmt_bridge.errors import CmtBridgeError, InputError, MidiError, MissingError
from cmt_bridge.midi.events import END_OF_TRACK, SYSEX, chunk_of, file_of, meta_event, tempo_event
from cmt_bridge.midi.exclusive import is_exclusive, joined
from cmt_bridge.midi.file import parsed
from cmt_bridge.midi.line import Line, tempos_of
from cmt_bridge.midi.pairing import complete
from cmt_bridge.midi.song import song_of

__all__ = [
    "SAMPLE_RATE",
    "SOUNDFONT_VARIABLE",
    "Renderer",
    "Sound",
    "find_soundfont",
    "fit",
    "level",
    "playable",
    "render",
    "write_wav",
]

Sound = npt.NDArray[np.float32]
"""Shape (samples, 2), stereo, full scale at ±1, at `SAMPLE_RATE`."""

SAMPLE_RATE = 48_000
"""Hertz; what video uses."""

SOUNDFONT_VARIABLE = "CMT_BRIDGE_SOUNDFONT"

# Finding a SoundFont

FOLDERS = (
    "/usr/share/sounds/sf3",
    "/usr/share/sounds/sf2",
    "/usr/share/soundfonts",
    "/usr/local/share/soundfonts",
    "/usr/local/share/sounds/sf2",
    "/usr/local/share/sounds/sf3",
    "~/.local/share/soundfonts",
    "~/.local/share/sounds/sf2",
    "~/soundfonts",
    "~/Documents/MuseScore4/SoundFonts",
    "~/Documents/MuseScore3/SoundFonts",
    "~/Library/Audio/Sounds/Banks",
    "/Library/Audio/Sounds/Banks",
    "/opt/homebrew/share/soundfonts",
    "/opt/homebrew/share/sounds/sf2",
    "/Applications/MuseScore 4.app/Contents/Resources/sound",
    "C:/soundfonts",
    "C:/ProgramData/soundfonts",
    "C:/Program Files/MuseScore 4/sound",
)

# Complete General MIDI sets under free licences come first, TimGM6mb (coarse, GPL) last, others between.
LIKED = ("fluidr3", "musescore_general", "ms basic", "generaluser", "fluid", "default-gm")
DISLIKED = ("timgm6mb", "vintagedreams")
SUFFIXES = (".sf2", ".sf3")

GET_ONE = {
    "linux": "Debian and Ubuntu: `apt-get install fluidr3mono-gm-soundfont`; Fedora: `dnf install fluid-soundfont-gm`; "
    "Arch: `pacman -S soundfont-fluid`",
    "darwin": "Download MuseScore_General.sf3 (MIT) from https://ftp.osuosl.org/pub/musescore/soundfont/ into "
    "~/Library/Audio/Sounds/Banks",
    "win32": "Download MuseScore_General.sf3 (MIT) from https://ftp.osuosl.org/pub/musescore/soundfont/ "
    "into C:\\soundfonts",
}


def _rank(path: Path) -> tuple[int, str]:
    name = path.name.lower()
    for rank, liked in enumerate(LIKED):
        if liked in name:
            return rank, name
    return len(LIKED) + any(disliked in name for disliked in DISLIKED), name


def _fonts() -> Iterator[Path]:
    from platformdirs import user_data_path

    for folder in (user_data_path("cmt-bridge") / "soundfonts", *(Path(folder).expanduser() for folder in FOLDERS)):
        if folder.is_dir():
            yield from (path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and _is_soundfont(path))


def _is_soundfont(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(12)
    except OSError:
        return False
    return head[:4] == b"RIFF" and head[8:] == b"sfbk"


@takes_paths
def find_soundfont(given: Path | None = None) -> Path:
    """Return the SoundFont to play with: `given`, else that of the environment, else the best in the usual places.

    Raises `InputError` where the one asked for is none, `MissingError` where there is none at all.
    """
    asked = given or Path(os.environ.get(SOUNDFONT_VARIABLE, ""))
    if asked != Path():
        if not _is_soundfont(asked):
            raise InputError(f"{asked} is not a SoundFont.", hint="Give a .sf2 or .sf3 file.")
        return asked
    fonts = sorted(_fonts(), key=_rank)
    if not fonts:
        get_one = GET_ONE.get(sys.platform, GET_ONE["linux"])
        raise MissingError(
            "No SoundFont was found to play the score with.",
            hint=f"{get_one}. Or name one with --soundfont or {SOUNDFONT_VARIABLE}.",
        )
    return fonts[0]


# Playing

Renderer = Literal["auto", "fluidsynth", "symusic"]
"""`fluidsynth` is the program of that name, `symusic` the synthesizer in the Python package; `auto` takes the first."""

FLUIDSYNTH_GAIN = "0.2"
VELOCITY_STEP = 4
WINDOW_SECONDS = 60  # played at once, so that long music takes little more memory than its sound
TAIL_SECONDS = 10.0  # the longest a note rings on
MUSIC = Path("the music")  # what is played, in errors
MOST_SECONDS = 3 * 3600  # of sound that is held in memory, 0.4 MB each


@takes_paths
def render(midi: bytes, soundfont: Path, *, renderer: Renderer = "auto") -> Sound:
    """Play the bytes of a MIDI file; return its sound, not levelled, from the file's first tick on.

    Raises `MissingError` where FluidSynth is asked for and not there, `MidiError` where the file cannot be read,
    `InputError` where it lasts too long, `CmtBridgeError` where playing fails.
    """
    heard = playable(midi)
    program = shutil.which("fluidsynth")
    if renderer == "fluidsynth" and program is None:
        raise MissingError("The program fluidsynth was not found.", hint="Install it, or leave --renderer out.")
    if renderer == "symusic" or program is None:
        return _render_symusic(heard, soundfont)
    return _render_fluidsynth(program, heard, soundfont)


def playable(midi: bytes) -> bytes:
    """Return what is heard of a MIDI file as one that we wrote: a synthesizer gets nothing else.

    It has notes with their ends, controllers, programs, system exclusives and tempos. Raises `MidiError` where the file
    cannot be read, `InputError` where it lasts too long.
    """
    file = parsed(midi, MUSIC)
    tempos = tempos_of(file)
    end = max((track.end for track in file.tracks), default=0)
    seconds = float(Line.of(file.division, tempos).seconds(end))
    if seconds > MOST_SECONDS:
        raise InputError(
            f"The music lasts {seconds / 3600:,.1f} hours, and a preview has {MOST_SECONDS / 3600:.0f} at most.",
            hint="Give a shorter MIDI file.",
        )
    chunks = [chunk_of([*((tick, tempo_event(uspq)) for tick, uspq in tempos), (end, meta_event(END_OF_TRACK))])]
    for track in file.tracks:
        *events, last = complete(joined(track.events))
        heard = [(tick, message) for tick, message in events if message[0] < SYSEX or is_exclusive(message)]
        chunks.append(chunk_of([*heard, last]))
    return file_of(1, file.division, chunks)


def _render_fluidsynth(program: str, midi: bytes, soundfont: Path) -> Sound:
    with tempfile.TemporaryDirectory(prefix="cmt-bridge-") as folder:
        song, sound = Path(folder, "song.mid"), Path(folder, "sound.raw")
        song.write_bytes(midi)
        command = [program, "-n", "-i", "-q", "-g", FLUIDSYNTH_GAIN, "-r", str(SAMPLE_RATE)]
        command += ["-T", "raw", "-O", "s16", "-F", str(sound), str(soundfont.absolute()), str(song)]
        done = subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL)
        if done.returncode or not sound.is_file():
            reason = (done.stderr.decode(errors="replace").strip().splitlines() or ["no output"])[-1]
            raise CmtBridgeError(f"fluidsynth could not play the score: {reason}.", hint="Try `--renderer symusic`.")
        samples = np.fromfile(sound, "<i2")
    return (samples[: len(samples) // 2 * 2].reshape(-1, 2) / np.float32(2**15)).astype(np.float32)


def _render_symusic(midi: bytes, soundfont: Path) -> Sound:
    import symusic

    try:
        synthesizer = symusic.Synthesizer(str(soundfont), SAMPLE_RATE, 0)
    except Exception as error:  # its errors have no common base
        raise CmtBridgeError(f"The score cannot be played with {soundfont.name}: {error}.") from error
    try:
        song = song_of(parsed(midi, MUSIC), MUSIC)
    except MidiError:  # it holds no notes
        return np.zeros((0, 2), np.float32)
    line = Line.of(song.ticks_per_quarter, song.tempos)
    tracks = [(track, _columns(track, line)) for track in song.tracks]
    end = max(float((columns["time"] + columns["duration"]).max()) for _, columns in tracks)
    mix = np.zeros((round((end + TAIL_SECONDS) * SAMPLE_RATE), 2), np.float32)
    last = 0
    for track, columns in tracks:
        # Version 0.5.8 plays every velocity alike: play each loudness apart and weigh it. A SoundFont's default curve
        # is 40 dB per decade of velocity (SoundFont 2.01, 8.4.2).
        step = np.maximum(1, columns["velocity"] // VELOCITY_STEP).astype(np.int64)
        window = (columns["time"] // WINDOW_SECONDS).astype(np.int64)
        for group in sorted(set(zip(window.tolist(), step.tolist(), strict=True))):
            chosen = (window == group[0]) & (step == group[1])
            start = group[0] * WINDOW_SECONDS
            sound = synthesizer.render(_excerpt(track, columns, chosen, start), stereo=True).T
            first = start * SAMPLE_RATE
            sound = sound[: len(mix) - first]
            mix[first : first + len(sound)] += sound * np.float32((group[1] * VELOCITY_STEP / 127) ** 2)
            last = max(last, first + len(sound))
    return mix[:last]


def _columns(track: SongTrack, line: Line) -> dict[str, Any]:
    """Return the notes of a track, times in seconds."""
    changes, uspq = np.array(line.tempos, np.float64).T
    starts = np.append(0.0, np.cumsum(np.diff(changes) * uspq[:-1]))

    def seconds(ticks: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        place = np.searchsorted(changes, ticks, "right") - 1
        passed: npt.NDArray[np.float64] = starts[place] + (ticks - changes[place]) * uspq[place]
        return passed / (line.division * 1e6)

    start, end, pitch, velocity = track.notes.T
    return {
        "time": seconds(start),
        "duration": seconds(end) - seconds(start),
        "pitch": pitch.astype(np.int8),
        "velocity": velocity.astype(np.int8),
    }


def _excerpt(track: SongTrack, columns: dict[str, Any], chosen: npt.NDArray[np.bool_], start: float) -> Any:
    """Return a score of some notes of a track, from `start` seconds on; a tick of it is one sample."""
    import symusic

    excerpt = symusic.Score(SAMPLE_RATE // 2)  # per quarter, at the default of 120 BPM
    # Drums on the standard kit: a kit that is not in the font would be silent.
    part = symusic.Track(program=0 if track.is_drum else track.program, is_drum=track.is_drum)
    part.notes = symusic.Note.from_numpy(
        time=np.rint((columns["time"][chosen] - start) * SAMPLE_RATE).astype(np.int32),
        duration=np.rint(columns["duration"][chosen] * SAMPLE_RATE).astype(np.int32),
        pitch=columns["pitch"][chosen],
        velocity=columns["velocity"][chosen],
    )
    excerpt.tracks.append(part)
    return excerpt


# Levels and lengths

PEAK = 10 ** (-1.5 / 20)
"""Highest sample after levelling: 1.5 dB below full scale leaves room for what a lossy codec adds."""

FADE_SECONDS = 0.3


def level(sound: Sound) -> Sound:
    """Return the sound scaled so that its highest sample is at `PEAK`; silence stays silence."""
    highest = float(np.abs(sound).max(initial=0.0))
    return sound * np.float32(PEAK / highest) if highest > 0 else sound


def fit(sound: Sound, seconds: float) -> Sound:
    """Return exactly `seconds` of the sound: silence after its end, or a fade of 0.3 s where it is cut."""
    samples = max(0, round(seconds * SAMPLE_RATE))
    if len(sound) <= samples:
        return np.concatenate([sound, np.zeros((samples - len(sound), 2), np.float32)])
    cut = sound[:samples].copy()
    fade = min(samples, round(FADE_SECONDS * SAMPLE_RATE))
    cut[samples - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)[:, None]
    return cut


@takes_paths
def write_wav(sound: Sound, path: Path) -> None:
    """Write the sound as a 16-bit WAV file. Raises `OutputError` where it cannot be written."""
    samples = np.clip(np.rint(sound * (2**15 - 1)), -(2**15), 2**15 - 1).astype("<i2")
    with complete_path(path) as temporary, wave.open(str(temporary), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples.tobytes())
