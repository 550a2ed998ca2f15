"""Text will do wherever a path is meant."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import FunctionType

import pytest

import cmt_bridge.outputs
import cmt_bridge.scoring
from cmt_bridge.core.options import ComposeOptions
from cmt_bridge.core.paths import takes_paths
from tests.e2e.conftest import write_metadata

ROOMS = (cmt_bridge.outputs, cmt_bridge.scoring)
MODULES = [
    *("cmt_bridge.scoring.pipeline", "cmt_bridge.config", "cmt_bridge.video.cache", "cmt_bridge.takes.locate"),
    *(module.name for room in ROOMS for module in pkgutil.iter_modules(room.__path__, f"{room.__name__}.")),
]


def public_functions() -> Iterator[tuple[str, FunctionType]]:
    for name in MODULES:
        module = importlib.import_module(name)
        for public in getattr(module, "__all__", []):
            found = getattr(module, public)
            if inspect.isfunction(found) and found.__module__ == name:
                yield f"{name}.{public}", found


@pytest.mark.parametrize(("name", "function"), list(public_functions()))
def test_public_functions_take_text_for_a_path(name: str, function: FunctionType) -> None:
    """Each with a `Path` among its parameters is decorated with `takes_paths`, but for what only its own room calls."""
    named = [each.name for each in inspect.signature(function).parameters.values() if "Path" in str(each.annotation)]
    inner = name.rpartition(".")[2] in ("delivered", "summary", "doubts", "under_film")
    assert not named or inner or getattr(function, "__wrapped__", None) is not None, name


def test_text_becomes_paths_wherever_they_are_meant() -> None:
    @takes_paths
    def give(first: Path, text: str, *, several: tuple[Path, ...] = (), none: Path | None = None) -> list[object]:
        return [first, text, several, none]

    assert give("a", "b", several=("c", Path("d"))) == [Path("a"), "b", (Path("c"), Path("d")), None]
    assert give(first="a", text="b", none="e") == [Path("a"), "b", (), Path("e")]


def test_a_film_is_scored_by_its_name(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cmt_bridge.midi.song import read_song
    from cmt_bridge.outputs.midi import write_midi
    from cmt_bridge.outputs.scorefile import read_score
    from cmt_bridge.scoring.choose import choose, list_takes
    from cmt_bridge.scoring.export import export
    from cmt_bridge.scoring.pipeline import deliver, look_at, score_picture
    from cmt_bridge.scoring.regenerate import RegenerateRequest, regenerate
    from cmt_bridge.scoring.score import ScoreRequest, score
    from cmt_bridge.takes.take_folder import TakeFolder

    monkeypatch.chdir(tmp_path)
    write_metadata(tmp_path / "film.json", 4.0)
    picture = look_at("film.json")  # type: ignore[arg-type]
    scores = score_picture(picture, replace(ComposeOptions(), seed=1), model=str(tiny_model))
    (folder,) = deliver(scores, picture, "music")  # type: ignore[arg-type]
    assert read_score("music") == scores[0]  # type: ignore[arg-type]
    write_midi(scores[0], "a.mid")  # type: ignore[arg-type]
    assert read_song("a.mid").tracks  # type: ignore[arg-type]
    assert folder == Path("music")

    request = ScoreRequest("film.json", {"model": str(tiny_model)})  # type: ignore[arg-type]
    assert ScoreRequest.from_json(json.loads(json.dumps(request.to_json()))) == request
    score(request, lambda *_: None)
    regenerate(RegenerateRequest("film.json", bars="1", model=str(tiny_model)), lambda *_: None)  # type: ignore[arg-type]
    assert choose("film.json", "choose", 1)["current"] == 1  # type: ignore[arg-type]
    assert len(list_takes("film.cmt")["takes"]) == len(TakeFolder("film.cmt").takes()) == 2  # type: ignore[arg-type]
    assert export("film.json", ["csv"])[0].path.is_file()  # type: ignore[arg-type]
