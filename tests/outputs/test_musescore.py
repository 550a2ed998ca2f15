"""MuseScore reads our MIDI files: an importer that knows nothing of us, and writes down what it understood."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import defaultdict
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from xml.etree.ElementTree import Element, parse

import pytest

from cmt_bridge.core.score import Provenance
from cmt_bridge.outputs.midi import midi_bytes
from cmt_bridge.projects.arrangement import Version, version_of
from cmt_bridge.projects.constant import constant_tempo
from tests import clips
from tests.e2e.conftest import Run, environment, folder, forks, run  # noqa: F401  (fixtures)
from tests.projects.films import TEMPOS, arrangement_of, score_of

__all__ = ["environment", "folder", "run"]

pytestmark = pytest.mark.slow

PATIENCE = 120
STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
PROGRAMS = ("musescore3", "mscore3", "mscore")


@dataclass
class Sheet:
    """What MuseScore wrote down: quarters and pitches of what begins, tempos and metres by quarter, programs."""

    onsets: dict[str, set[tuple[Fraction, int]]] = field(default_factory=lambda: defaultdict(set))
    tempos: dict[Fraction, float] = field(default_factory=dict)
    metres: dict[Fraction, tuple[int, int]] = field(default_factory=dict)
    programs: dict[str, int] = field(default_factory=dict)


def read_by_musescore(midi: Path) -> Sheet:
    """Have MuseScore open a file and save it as MusicXML, and read that."""
    return _sheet(parse(saved_by_musescore(midi, ".musicxml")).getroot())


def saved_by_musescore(midi: Path, suffix: str) -> Path:
    """Have MuseScore open a file and save it as another."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    assert program, "MuseScore is not installed: apt install --no-install-recommends musescore3"
    home = midi.parent / "home"
    home.mkdir(exist_ok=True)
    sheet = midi.with_suffix(suffix)
    paths = {"HOME": str(home), "XDG_CONFIG_HOME": str(home), "XDG_DATA_HOME": str(home), "XDG_RUNTIME_DIR": str(home)}
    done = subprocess.run(
        [program, "-o", str(sheet), str(midi)],
        env={**os.environ, **paths, "QT_QPA_PLATFORM": "offscreen"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert sheet.is_file(), done.stderr[-2000:]
    return sheet


def _sheet(root: Element) -> Sheet:
    found = Sheet()
    percussion: dict[str, int] = {}
    names = {}
    for each in root.iterfind("part-list/score-part"):
        # It names a part after the instrument that it takes it for, and after the track.
        names[each.attrib["id"]] = name = each.findtext("part-name", "").rpartition(", ")[2]
        found.programs[name] = int(each.findtext("midi-instrument/midi-program", "1")) - 1
        for instrument in each.iterfind("midi-instrument"):
            percussion[instrument.attrib["id"]] = int(instrument.findtext("midi-unpitched", "0")) - 1
    for part in root.iterfind("part"):
        now = begun = Fraction(0)
        per_quarter = 1
        for each in part.iterfind("measure/*"):
            per_quarter = int(each.findtext("divisions", str(per_quarter)))
            length = Fraction(int(each.findtext("duration", "0")), per_quarter)
            if each.tag == "attributes" and each.find("time") is not None:
                metre = int(each.findtext("time/beats", "")), int(each.findtext("time/beat-type", ""))
                found.metres[now] = metre
            elif each.tag == "direction" and (sound := each.find("sound[@tempo]")) is not None:
                found.tempos[now + Fraction(int(each.findtext("offset", "0")), per_quarter)] = float(
                    sound.attrib["tempo"]
                )
            elif each.tag == "backup":
                now -= length
            elif each.tag == "forward":
                now += length
            elif each.tag == "note":
                chord = each.find("chord") is not None
                begun = begun if chord else now
                now = now if chord else now + length
                if each.find("rest") is None and each.find("tie[@type='stop']") is None:
                    found.onsets[names[part.attrib["id"]]].add((begun, _pitch(each, percussion)))
    return found


def _pitch(note: Element, percussion: dict[str, int]) -> int:
    instrument = note.find("instrument")
    if note.find("unpitched") is not None:
        assert instrument is not None
        return percussion[instrument.attrib["id"]]
    step, alter = STEPS[note.findtext("pitch/step", "")], int(note.findtext("pitch/alter", "0"))
    return 12 * (int(note.findtext("pitch/octave", "")) + 1) + step + alter


def check(found: Sheet, version: Version) -> None:
    """Compare with what is in the file, to the tick; MuseScore rounds tempos to whole beats a minute."""
    quarter = version.division
    assert found.onsets == {
        part.name: {(Fraction(note.start, quarter), note.pitch) for note in part.notes}
        for part in version.parts
        if part.notes
    }
    assert {part.name: part.program for part in version.parts if not part.is_drums} == {
        name: program for name, program in found.programs.items() if name != "Drums"
    }
    assert found.tempos == {
        Fraction(tick, quarter): pytest.approx(60e6 / uspq, abs=0.51) for tick, uspq in version.tempos
    }
    assert found.metres == {Fraction(tick, quarter): tuple(metre) for tick, *metre in version.metres}


def test_where_music_came_from_is_shown_nowhere(tmp_path: Path) -> None:
    """MuseScore prints a text event as lyrics; ours is none."""
    midi = tmp_path / "film.mid"
    midi.write_bytes(midi_bytes(replace(score_of(TEMPOS), provenance=Provenance(model="tiny", seed=7))))
    assert b'"model":"tiny"' in midi.read_bytes()
    shown = saved_by_musescore(midi, ".mscx").read_text()
    assert "<Score" in shown
    assert "tiny" not in shown
    assert "Lyrics>" not in shown


def test_a_composition_is_read_note_by_note(folder: Path, run: Run) -> None:
    video = clips.write_clip(folder / "clip.mp4", clips.panning(12, 25, speed=60, seed=1), 25)
    assert run("score", video).returncode == 0
    midi = folder / "clip.mid"
    assert len(version_of(midi, "").parts) > 2
    check(read_by_musescore(midi), version_of(midi, "take 1"))


def test_tempo_changes_are_read_where_they_are(tmp_path: Path) -> None:
    midi = tmp_path / "Der Film – 日本.mid"
    midi.write_bytes(midi_bytes(score_of(TEMPOS)))
    check(read_by_musescore(midi), version_of(midi, "take 1"))


def test_a_file_of_one_tempo_has_one(tmp_path: Path) -> None:
    tempo, data = constant_tempo(arrangement_of(tmp_path))
    midi = tmp_path / "constant.mid"
    midi.write_bytes(data)
    found = read_by_musescore(midi)
    assert found.tempos == {Fraction(0): pytest.approx(tempo, abs=0.51)}
