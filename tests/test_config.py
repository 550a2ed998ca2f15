"""cmt-bridge.toml, and settings as text."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cmt_bridge.config import Outputs, Watching, read_config
from cmt_bridge.core.instruments import Instrument
from cmt_bridge.errors import UsageError
from cmt_bridge.settings import analysis_options, as_text, compose_options, value_of


def test_nothing_said_is_as_usual(tmp_path: Path) -> None:
    config = read_config(tmp_path)
    assert (config.score, config.outputs, config.watch) == ({}, Outputs(), Watching())


def test_the_nearest_file_holds(tmp_path: Path) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    (tmp_path / "cmt-bridge.toml").write_text(
        '[score]\ngenre = "Rock"\ncontrol = 1\ntempo_range = [80, 110.5]\n'
        '[outputs]\nhost = "reaper"\nfiles = ["midi", "score"]\n[watch]\nsettle = 5\nignore = ["x/*"]\n'
    )
    (below / "cmt-bridge.toml").write_text(
        '[score]\ninstruments = ["drums", "bass"]\npitches = {bass = [30, 40]}\nC = 0.5\n[outputs]\ndrop = ""\n'
    )
    config = read_config(below)
    assert config.sources == (tmp_path / "cmt-bridge.toml", below / "cmt-bridge.toml")
    assert config.outputs == Outputs(drop="", files=("midi", "score"), host="reaper")
    assert config.watch == Watching()  # how a folder is watched is said in that folder
    assert read_config(tmp_path).watch == Watching(settle=5.0, ignore=("x/*",))
    options, analysis = compose_options(config.score), analysis_options(config.score)
    assert options.style == "rock"
    assert options.density_control == options.beat_control == (0.5,)
    assert options.instruments == (Instrument.DRUMS, Instrument.BASS)
    assert options.pitches[Instrument.BASS] == (30, 40)
    assert (analysis.tempo_low, analysis.tempo_high) == (80, 110.5)


def test_stream_settings_hold_in_folder_and_below(tmp_path: Path) -> None:
    below = tmp_path / "a"
    below.mkdir()
    (tmp_path / "cmt-bridge.toml").write_text(
        '[live]\nfollow = "mtc"\nlead = "clock, mmc"\nto = "synth"\nchase = false\n'
    )
    (below / "cmt-bridge.toml").write_text('[live]\nfollow = ""\nlatency = {drums = 5}\n')
    assert read_config(below).live == {
        "follow": "",
        "lead": ("clock", "mmc"),
        "to": ("synth",),
        "chase": False,
        "latency": {"drums": 5},
    }


def test_a_file_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "cmt-bridge.toml"
    path.write_text('[score]\nstyle = "rock"\n')
    assert read_config(tmp_path).score == {"style": "rock"}
    path.write_text('[score]\nstyle = "ballad"\n')
    assert read_config(tmp_path).score == {"style": "ballad"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[score", "not valid TOML"),
        ("\x00", "not valid TOML"),
        ("[scores]", "no setting scores.*mean score"),
        ("score = 1", "score is not a section"),
        ('[live]\nfollow = "me"', "live.follow.*one of clock"),
        ("[live]\nto = 5", "live.to.*a list of names"),
        ('[live]\nlead = ["x"]', "live.lead.*a list of clock"),
        ("[live]\nwarm = 1", "live.warm.*true or false"),
        ('[live]\nlatency = {drums = "5"}', "live.latency.*milliseconds"),
        ("[live]\nname = 5", "live.name.*text"),
        ('[live]\nfolow = "mtc"', "no setting live.folow.*mean follow"),
        ('[score]\ninstrument = "x"', "score.instrument.*mean instruments"),
        ("[score]\nxyz = 1", "score.xyz.*Known are"),
        ("[outputs]\ndrop = 1", "outputs.drop"),
        ('[outputs]\nfiles = ["mid"]', "outputs.files"),
        ('[outputs]\nhost = "reapr"', "outputs.host"),
        ('[watch]\nsettle = "x"', "watch.settle"),
        ("[watch]\nsettle = true", "watch.settle"),
        ("[watch]\nsettle = -1", "watch.settle"),
        ("[watch]\nsettle = nan", "watch.settle"),
        ("[watch]\npolling = 1", "watch.polling"),
        ("[watch]\nosc = 70000", "watch.osc"),
        ('[watch]\nignore = "x"', "watch.ignore"),
        (f"[watch]\nignore = ['{'[' * 300}']", "watch.ignore.*of up to 256 letters"),
        (f"[watch]\nignore = {['x'] * 200}", "watch.ignore.*up to 128 patterns"),
        ('[outputs]\ndrop = "a\\u0000b"', "outputs.drop"),
        ('[outputs]\nplaces = ["/"]', "no setting outputs.places"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "cmt-bridge.toml").write_text(text)
    with pytest.raises(UsageError, match=words) as caught:
        read_config(tmp_path)
    assert "cmt-bridge.toml" in str(caught.value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.7, "0.7"),
        (3, "3"),
        ("a", "a"),
        (["drums", "bass"], "drums,bass"),
        ({"piano": 4, "strings": 3}, "piano=4,strings=3"),
        ({"bass": [28, 50]}, "bass=28-50"),
        ((80.0, 110.0), "80,110"),
    ],
)
def test_values_are_text(value: object, text: str) -> None:
    assert as_text(value) == text


@pytest.mark.parametrize("settings", [{"tempo": "x"}, {"tempo_range": "80"}, {"cut_sensitivity": "2"}, {"tempo": "1"}])
def test_an_analysis_that_cannot_be(settings: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        analysis_options(settings)


@pytest.mark.parametrize(
    "settings", [{"control": "2"}, {"recall": "x"}, {"seed": "1.5"}, {"instruments": "kazoo"}, {"pitches": "bass=9"}]
)
def test_a_composition_that_cannot_be(settings: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        compose_options(settings)


def test_numbers_are_whole_where_they_count() -> None:
    assert value_of({}, "variations") == 1
    assert value_of({"variations": "5"}, "variations") == 5
    for text in ("0", "65", "x", "1e3"):
        with pytest.raises(UsageError):
            value_of({"variations": text}, "variations")


def test_the_readme_has_a_file_that_can_be_used(tmp_path: Path) -> None:
    readme = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```toml\n(.*?)```", readme, re.DOTALL)
    (tmp_path / "cmt-bridge.toml").write_text(block, encoding="utf-8")
    config = read_config(tmp_path)
    assert (config.outputs.host, config.watch.ignore) == ("garageband", ("proxies/*", "*_draft.mov"))
    assert compose_options(config.score).style == "rock"
