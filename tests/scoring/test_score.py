"""Scores of a clip: the seeds they are made with, what is said of them, and what is refused at once."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cmt_bridge.core.score import Score
from cmt_bridge.core.signature import FileSignature
from cmt_bridge.errors import CheckpointError, UsageError, VideoError
from cmt_bridge.model.checkpoint import save_network
from cmt_bridge.model.event_network import EventTransformer
from cmt_bridge.scoring.outcome import Outcome, remarks, summary
from cmt_bridge.scoring.score import ScoreRequest, check_settings, score
from cmt_bridge.takes.seeds import unused
from cmt_bridge.takes.take_folder import TakeFolder
from tests.clips import panning, write_clip
from tests.e2e.conftest import write_metadata


@pytest.fixture(scope="module")
def keyed(composer: EventTransformer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a model that knows styles and keys."""
    path = tmp_path_factory.mktemp("model") / "keyed.safetensors"
    save_network(composer, path, record={})
    return path


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return write_metadata(tmp_path / "film.json", 4.0)


def run(film: Path, model: Path, *, output: Path | None = None, key: str = "", **settings: str) -> Outcome:
    said = {"model": str(model), **settings}
    return score(ScoreRequest(film, said, output, key=key), lambda *_: None)


def seeds(outcome: Outcome) -> list[int]:
    return [take["seed"] for take in outcome.takes]


def test_scoring_again_takes_the_next_unused_seed(film: Path, tiny_model: Path) -> None:
    assert seeds(run(film, tiny_model)) == [0]
    assert seeds(run(film, tiny_model)) == [1]
    assert seeds(run(film, tiny_model, seed="3")) == [3]
    assert seeds(run(film, tiny_model, control="1")) == [2]
    assert seeds(run(film, tiny_model, variations="2")) == [4, 5]
    project = TakeFolder(film.with_suffix(".cmt"))
    music = [take.score().tracks for take in project.takes()]
    assert all(a != b for n, a in enumerate(music) for b in music[:n])


def test_another_film_of_the_same_name_begins_anew(film: Path, tiny_model: Path) -> None:
    run(film, tiny_model)
    write_metadata(film, 6.0)  # a new cut, exported over the old one
    assert seeds(run(film, tiny_model)) == [0]
    assert seeds(run(film, tiny_model)) == [1]


def test_a_seed_brings_its_music_back_and_that_is_said(film: Path, tiny_model: Path) -> None:
    first, _ = run(film, tiny_model), run(film, tiny_model)
    again = run(film, tiny_model, seed="0")
    assert any("Take 3 is the same music, note for note, as take 1" in note for note in again.notes)
    assert not any("same music" in note for note in first.notes)
    project = TakeFolder(film.with_suffix(".cmt"))
    assert project.take(1).midi.read_bytes() == project.take(3).midi.read_bytes()


def test_a_request_that_was_begun_goes_on_with_its_seeds(film: Path, tiny_model: Path) -> None:
    run(film, tiny_model, key="a")
    made = run(film, tiny_model, key="b", variations="3")
    assert seeds(made) == [1, 2, 3]
    shutil.rmtree(film.with_suffix(".cmt") / "take 4")  # as if it had been killed before the last one
    assert seeds(run(film, tiny_model, key="b", variations="3")) == [1, 2, 3]


def test_watching_scores_once_with_the_first_seed(film: Path, tiny_model: Path) -> None:
    request = ScoreRequest(film, {"model": str(tiny_model)}, key="watch", again=False)
    assert seeds(score(request, lambda *_: None)) == [0]
    assert seeds(score(ScoreRequest(film, {"model": str(tiny_model)}, again=False), lambda *_: None)) == [0]
    assert len(TakeFolder(film.with_suffix(".cmt")).takes()) == 1


def test_plain_folders_have_other_seeds_too(film: Path, tiny_model: Path, tmp_path: Path) -> None:
    music = tmp_path / "music"
    assert seeds(run(film, tiny_model, output=music)) == [0]
    assert seeds(run(film, tiny_model, output=music, variations="2")) == [1, 2]
    assert seeds(run(film, tiny_model, output=tmp_path / "elsewhere")) == [0]
    other = write_metadata(tmp_path / "other.json", 6.0)
    assert seeds(run(other, tiny_model, output=music)) == [0]


@pytest.mark.parametrize(
    ("used", "count", "first"),
    [([], 1, 0), ([], 5, 0), ([0], 1, 1), ([0, 1, 3], 1, 2), ([0, 1, 3], 2, 4), ([2**62], 3, 0), ([4, 4, 1], 2, 2)],
)
def test_seeds_that_are_unused(used: list[int], count: int, first: int) -> None:
    assert unused(used, count) == first


def test_the_key_that_is_heard_is_told(film: Path, keyed: Path, tiny_model: Path) -> None:
    asked = run(film, keyed, key="k", seed="1", style="calm")
    assert asked.takes[0]["asked_key"] == ""
    outcome = score(ScoreRequest(film, {"model": str(keyed), "key": "a moll"}), lambda *_: None)
    (take,) = outcome.takes
    made = TakeFolder(film.with_suffix(".cmt")).take(take["take"]).score()
    assert take["asked_key"] == made.provenance.options["key"] == "Am"
    assert take["heard_key"] == made.provenance.options["heard_key"]
    assert any("not in A minor" in note for note in outcome.notes) == (take["heard_key"] != "Am")
    free = run(film, tiny_model)
    assert "heard_key" not in TakeFolder(film.with_suffix(".cmt")).current().score().provenance.options
    assert not any("is heard in" in note for note in free.notes)


def test_what_is_not_as_asked_is_explained(film: Path, tiny_model: Path, tmp_path: Path) -> None:
    run(film, tiny_model, instruments="piano,strings")
    project = TakeFolder(film.with_suffix(".cmt"))
    made: Score = project.take(1).score()
    empty = Score(
        made.tempo_map, tuple(type(t)(t.instrument, 0, ()) for t in made.tracks), 3, provenance=made.provenance
    )
    (remark,) = remarks(summary(empty, tmp_path / "gone", 0, 7))
    assert remark.startswith("Take 7 has no notes for Piano, Strings: ")
    wrong = {**summary(made, tmp_path / "gone", 0, 7), "heard_key": "C", "asked_key": "Am"}
    assert "Take 7 is heard in C major, which has the same notes, and not in A minor" in remarks(wrong)[0]
    right = {**summary(made, tmp_path / "gone", 0, 7), "heard_key": "Am", "asked_key": "Am", "asked": []}
    assert remarks(right) == []


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"style": "polka"}, "style polka.*It knows calm, wild"),
        ({"key": "J"}, "no key 'J'"),
        ({"model": "nothing"}, "no model nothing"),
        ({"variations": "99"}, "variations must be a whole number from 1 to 64, not 99"),
        ({"precision": "int4"}, "precision"),
        ({"tempo": "1"}, "tempo must be a number from 20 to 400, not 1"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_measured(
    tmp_path: Path, keyed: Path, settings: dict[str, str], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        score(ScoreRequest(tmp_path / "not even there.mp4", {"model": str(keyed), **settings}), lambda *_: None)


def test_a_model_that_knows_less_is_asked_for_less(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="knows none: leave out --style"):
        check_settings({"model": str(tiny_model), "style": "calm"})
    with pytest.raises(UsageError, match="knows no keys"):
        check_settings({"model": str(tiny_model), "key": "C"})
    (tmp_path / "no model").write_bytes(b"text")
    with pytest.raises(CheckpointError, match="not a model"):
        check_settings({"model": str(tmp_path / "no model")})


def test_options_are_refused_before_torch_and_opencv_are_loaded(tmp_path: Path, keyed: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"no film at all")
    lines = [
        ["score", clip, "--style", "polka", "--model", keyed],
        ["score", clip, "--key", "J"],
        ["score", clip, "--model", "nothing"],
        ["score", clip, "--control", "1-2:x"],
        ["stream", clip, "--style", "polka", "--model", keyed, "--dry-run"],
        ["stream", clip, "--key", "J"],
        ["regenerate", clip, "--bars", "1"],
        ["regenerate", clip, "--bars", "x"],
        ["preview", clip, "--take", "x"],
        ["evaluate", "nothing", "--data", tmp_path],
        ["train", "--data", tmp_path, "-n", "x"],
        ["train", "--data", tmp_path, "-n", "../x"],
    ]
    code = f"""
import sys
from cmt_bridge.cli import main
for line in {[list(map(str, line)) for line in lines]!r}:
    sys.argv = ["cmt-bridge", *line]
    try:
        main()
    except SystemExit as exit_:
        heavy = [name for name in ("torch", "cv2", "av") if name in sys.modules]
        print(exit_.code, heavy, line)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == len(lines)
    for line in done.stdout.splitlines():
        assert line.startswith(("2 []", "3 []")), line
    assert "internal error" not in done.stderr


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    """Count how often each file, by its inode, is read for its hash."""
    counts: Counter[int] = Counter()
    digest = hashlib.file_digest

    def counting(file: Any, *arguments: Any) -> Any:
        counts[os.fstat(file.fileno()).st_ino] += 1
        return digest(file, *arguments)

    monkeypatch.setattr(hashlib, "file_digest", counting)
    return counts


def test_a_new_clip_is_hashed_once_beside_other_projects(
    tmp_path: Path, tiny_model: Path, hashed: Counter[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CMT_BRIDGE_CACHE", str(tmp_path / "cache"))
    run(write_metadata(tmp_path / "other.json", 4.0), tiny_model)
    clip = write_clip(tmp_path / "clip.mp4", panning(3, 10, 30), 10)
    run(clip, tiny_model)
    assert hashed[clip.stat().st_ino] == 1


def test_a_clip_whose_content_the_daemon_knows_is_not_hashed(
    tmp_path: Path, tiny_model: Path, hashed: Counter[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CMT_BRIDGE_CACHE", str(tmp_path / "cache"))
    clip = write_clip(tmp_path / "clip.mp4", panning(3, 10, 30), 10)
    content = hashlib.sha256(clip.read_bytes()).hexdigest()
    signature = FileSignature.of(clip.stat())
    request = ScoreRequest(clip, {"model": str(tiny_model)})
    outcome = score(request, lambda *_: None, sha256=content, signature=signature)
    assert hashed[clip.stat().st_ino] == 0
    assert len(outcome.takes) == 1
    (take,) = TakeFolder(tmp_path / "clip.cmt").takes()
    assert take.info.request["video_sha256"] == content

    clip.write_bytes(clip.read_bytes() + b"free")  # the same name, and another content by now
    with pytest.raises(VideoError, match="changed or was moved"):
        score(request, lambda *_: None, sha256=content, signature=signature)
    assert hashed[clip.stat().st_ino] == 1
