"""`cmt-bridge regenerate`, on a small score of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cmt_bridge.core.instruments import Instrument
from cmt_bridge.core.options import ComposeOptions
from cmt_bridge.core.score import Note, Provenance, Score, Track
from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.model.checkpoint import save_network
from cmt_bridge.model.event_network import EventTransformer
from cmt_bridge.outputs.scorefile import read_score, write_score

Run = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(composer: EventTransformer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save_network(composer, path, record={})
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tracks = tuple(
        Track(instrument, 0, tuple(Note(tick, 40 + number, 4) for tick in range(0, 128, 4)))
        for number, instrument in enumerate(Instrument)
    )
    path = tmp_path / "clip score"
    path.mkdir()
    write_score(Score(TempoMap.constant(120), tracks, 8, duration=16.0, title="clip"), path / "score.json")
    return path


def changed(before: Score, after: Score) -> set[tuple[str, int]]:
    """Give track and bar, from 1, of all that differs."""
    pairs = zip(before.tracks, after.tracks, strict=True)
    return {(a.name, note.onset // 16 + 1) for a, b in pairs for note in set(a.notes) ^ set(b.notes)}


def test_bars_are_counted_as_a_daw_does(run: Run, folder: Path, model: Path) -> None:
    code, out, err = run("regenerate", folder, "--bars", "3-4,7", "--model", model, "--seed", 5)
    assert code == 0, err
    take = Path(out.strip())
    assert take == folder.with_name("clip score take 2")
    assert sorted(path.name for path in take.iterdir()) == ["clip.mid", "score.json"]
    before, after = read_score(folder), read_score(take)
    assert {bar for _, bar in changed(before, after)} == {3, 4, 7}
    assert "bars 3-4, 7 of Drums, Piano, Guitar, Bass, Strings, seed" in err
    (done,) = after.provenance.options["regenerated"]
    assert done["bars"] == [[3, 4], [7, 7]]


def test_times_and_tracks(run: Run, folder: Path, model: Path) -> None:
    """Bar 3 has the seconds from 4 to 6, bar 5 those from 8."""
    code, out, err = run(
        "regenerate", folder / "score.json", "--from", 4.5, "--to", 8, "--lock", "drums,bass", "--tracks",
        "drums,piano", "--model", model, "--seed", 5,
    )  # fmt: skip
    assert code == 0, err
    difference = changed(read_score(folder), read_score(Path(out.strip())))
    assert {track for track, _ in difference} == {"Piano"}
    assert {bar for _, bar in difference} <= {3, 4, 5}


def test_several_takes_of_several_candidates(run: Run, folder: Path, model: Path) -> None:
    code, out, err = run(
        "regenerate", folder, "--bars", 2, "-n", 2, "--candidates", 3, "--model", model, "--json", "--seed", 9
    )
    assert code == 0, err
    said = json.loads(out)
    assert [Path(take["folder"]).name for take in said["takes"]] == ["clip score take 2", "clip score take 3"]
    assert {each["seed"] for each in said["candidates"]} == {9, 10, 11}
    assert [take["seed"] for take in said["takes"]] == [each["seed"] for each in said["candidates"]][:2]
    # A take of a take is one more of the same.
    code, out, err = run("regenerate", said["takes"][0]["folder"], "--bars", 2, "--model", model)
    assert code == 0, err
    assert Path(out.strip()).name == "clip score take 4"


def test_as_many_candidates_as_the_seam_needs() -> None:
    from cmt_bridge.cli.regenerate import regenerate
    from cmt_bridge.scoring.infill import CANDIDATES

    (option,) = (parameter for parameter in regenerate.params if parameter.name == "candidates")
    assert f"default: {CANDIDATES}]" in (option.help or "")


def test_denser_bars(run: Run, folder: Path, model: Path) -> None:
    code, out, err = run("regenerate", folder, "--bars", "4-5", "--density", 7, "--model", model, "--seed", 2)
    assert code == 0, err
    after = read_score(Path(out.strip()))
    for bar, density in ((3, 4), (4, 11), (5, 11), (6, 4)):
        assert len({note.onset for _, note in after.notes() if note.onset // 16 == bar - 1}) == density


def test_what_the_score_was_made_with_holds_on(run: Run, folder: Path, model: Path) -> None:
    """Who played, how high, and how closely the picture was followed."""
    options = ComposeOptions(
        instruments=(Instrument.PIANO, Instrument.BASS),
        pitches={**ComposeOptions().pitches, Instrument.PIANO: (70, 72)},
        density_control=(1.0,),
        recall=0.0,
    )
    score = read_score(folder)
    silent = tuple(
        track if track.instrument in options.instruments else replace(track, notes=()) for track in score.tracks
    )
    made = Provenance(options=json.loads(json.dumps(options.to_json())))
    write_score(replace(score, tracks=silent, provenance=made), folder / "score.json")
    code, out, err = run("regenerate", folder, "--bars", "3-5", "--model", model, "--seed", 1)
    assert code == 0, err
    after = read_score(Path(out.strip()))
    new = [(i, n) for i, n in after.notes() if 2 <= n.onset // 16 < 5]
    assert {i for i, _ in new} == set(options.instruments)
    assert {n.pitch for i, n in new if i is Instrument.PIANO} <= {70, 71, 72}
    for bar in (2, 3, 4):
        assert len({n.onset for _, n in new if n.onset // 16 == bar}) == 4  # what the score has
    write_score(replace(score, provenance=Provenance(options={"pitches": {"Kazoo": [1, 2]}})), folder / "score.json")
    code, _, err = run("regenerate", folder, "--bars", "3", "--model", model)
    assert code == 3
    assert "damaged" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Which bars"),
        (["--bars", "1", "--from", "2"], "Which bars"),
        (["--bars", "0-2"], "no bars 0-2"),
        (["--bars", "4-9"], "no bars 4-9"),
        (["--bars", "5-3"], "no bars 5-3"),
        (["--bars", "x"], "cannot read 'x'"),
        (["--bars", "3,2"], "named twice"),
        (
            ["--bars", "1", "--tracks", "kazoo"],
            "tracks must be a list of drums, piano, guitar, bass, strings, not 'kazoo'",
        ),
        (["--bars", "1", "--tracks", "bass", "--lock", "bass"], "locked"),
        (["--bars", "1", "--control", "3"], "control must be a number from 0 to 1, not 3."),
        (["--from", "99"], "--from 99 lies after the film ends"),
        (["--from=-9", "--to", "1"], "--from -9 lies before the film begins"),
    ],
)
def test_what_cannot_be_is_refused(run: Run, folder: Path, model: Path, arguments: list[str], words: str) -> None:
    code, out, err = run("regenerate", folder, "--model", model, *arguments)
    assert code == 2
    assert words in err
    assert not out
    assert [path.name for path in folder.parent.iterdir()] == ["clip score"]


def test_what_is_no_score_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    for path in (tmp_path, tmp_path / "a.json", tmp_path / "nothing"):
        code, _, err = run("regenerate", path, "--bars", "1")
        assert code == 3
        assert "Traceback" not in err
