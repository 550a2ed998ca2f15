"""What `import cmt_bridge` offers."""

from __future__ import annotations

import ast
import inspect
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

import cmt_bridge as cmt
from cmt_bridge.outputs.midi import midi_bytes
from cmt_bridge.outputs.scorefile import read_score
from cmt_bridge.scoring.export import FORMATS
from tests import clips

ROOT = Path(__file__).parents[1]
FUNCTIONS = ["analyze", "compose", "export", "load_model", "regenerate"]

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CMT_BRIDGE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clips.write_clip(tmp_path_factory.mktemp("clip") / "a <b> & c.mp4", clips.pulsing(8, 25, bpm=100))


@pytest.fixture(scope="module")
def analysis(clip: Path) -> cmt.Analysis:
    return cmt.analyze(str(clip), tempo_range=(80, 120))


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> cmt.LoadedModel:
    return cmt.load_model(tiny_model)


@pytest.fixture(scope="module")
def score(analysis: cmt.Analysis, model: cmt.LoadedModel) -> cmt.Score:
    return cmt.compose(analysis, seed=1, control=1, model=model)


def test_importing_loads_nothing_heavy() -> None:
    code = (
        "import sys, cmt_bridge; dir(cmt_bridge); cmt_bridge.UsageError; "
        "print(sorted({'numpy', 'torch', 'cv2', 'click', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_stub_names_what_the_module_exports() -> None:
    tree = ast.parse((ROOT / "cmt_bridge" / "__init__.pyi").read_text())
    imported = {
        alias.name: node.module for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    (listed,) = [node.value for node in tree.body if isinstance(node, ast.Assign)]
    assert ast.literal_eval(listed) == list(cmt.__all__)
    assert imported.keys() | {"__version__"} == set(cmt.__all__)
    assert all(getattr(cmt, name).__module__ == module for name, module in imported.items())
    assert set(cmt.__all__) <= set(dir(cmt))


def test_no_subpackage_has_the_name_of_an_export() -> None:
    """It would take the place of the function once anything imported it."""
    modules = {path.stem for path in (ROOT / "cmt_bridge").iterdir()}
    assert not modules & set(cmt.__all__)


@pytest.mark.parametrize("name", [name for name in cmt.__all__ if name != "__version__"])
def test_every_export_has_a_docstring(name: str) -> None:
    doc = inspect.getdoc(getattr(cmt, name)) or ""
    assert re.match(r"[A-Z].*\.", doc)
    if name in FUNCTIONS:
        assert all(part in doc for part in ("Args:", "Returns ", "Raises ", "Example:"))
        named = set(re.findall(r"^    (\w+): ", doc, re.MULTILINE))
        assert named == set(inspect.signature(getattr(cmt, name)).parameters)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        cmt.nothing  # type: ignore[attr-defined] # noqa: B018


def test_an_analysis_says_what_was_measured(analysis: cmt.Analysis) -> None:
    assert analysis.tempo == pytest.approx(100, abs=1)
    assert 80 <= analysis.tempo <= 120
    assert analysis.bars == len(analysis.density) == 4
    assert len(analysis.beats) > 3
    assert analysis.cuts == ()
    assert isinstance(analysis.tempo_map, cmt.TempoMap)


def test_the_music_is_that_of_the_command_line(
    run: Run, tmp_path: Path, clip: Path, tiny_model: Path, score: cmt.Score
) -> None:
    options = ["--seed", 1, "--control", 1, "--tempo-range", 80, 120, "--model", tiny_model, "-o", tmp_path / "made"]
    code, _, err = run("score", clip, *options)
    assert code == 0, err
    made = read_score(tmp_path / "made")
    assert midi_bytes(made) == score.to_midi()
    assert (made.tracks, made.tempo_map, made.markers) == (score.tracks, score.tempo_map, score.markers)

    options = ["--bars", "2-3", "--tracks", "piano,bass", "--seed", 5, "--model", tiny_model, "-o", tmp_path / "anew"]
    code, _, err = run("regenerate", tmp_path / "made", *options)
    assert code == 0, err
    anew = cmt.regenerate(score, bars=(2, 3), tracks=["piano", cmt.Instrument.BASS], seed=5, model=tiny_model)
    assert read_score(tmp_path / "anew").tracks == anew.tracks


@pytest.mark.parametrize("bars", ["2-3", (2, 3), range(2, 4), [2, 3]], ids=str)
def test_bars_may_be_given_in_every_form(bars: object, score: cmt.Score, model: cmt.LoadedModel) -> None:
    anew = cmt.regenerate(score, bars=bars, tracks=["drums"], seed=3, candidates=1, model=model)  # type: ignore[arg-type]

    def outside(piece: cmt.Score) -> list[object]:
        return [(i, n) for i, n in piece.notes() if i is not cmt.Instrument.DRUMS or not 16 <= n.onset < 48]

    assert outside(anew) == outside(score)
    assert anew.tracks != score.tracks
    assert anew.analysis is score.analysis


def test_options_by_name_are_those_of_the_table(analysis: cmt.Analysis, model: cmt.LoadedModel) -> None:
    by_name = cmt.compose(
        analysis,
        model=model,
        instruments=[cmt.Instrument.PIANO, "bass"],
        density_control=[1, 0.5],
        pitches={"bass": (30, 40)},
    )
    pitches = {**cmt.ComposeOptions().pitches, cmt.Instrument.BASS: (30, 40)}
    players = (cmt.Instrument.PIANO, cmt.Instrument.BASS)
    options = cmt.ComposeOptions(density_control=(1.0, 0.5), instruments=players, pitches=pitches)
    assert cmt.compose(analysis, options, model=model).tracks == by_name.tracks
    assert {track.instrument for track in by_name.tracks if track.notes} <= set(players)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda a, _: cmt.compose(a, colour=1), TypeError, "colour"),
        (lambda a, _: cmt.compose(a, cmt.ComposeOptions(), seed=1), TypeError, "not both"),
        (lambda a, _: cmt.compose(a, instruments=["oboe"]), cmt.UsageError, "instruments must be"),
        (lambda a, _: cmt.compose(a, seed="x"), cmt.UsageError, "seed must be"),
        (lambda a, _: cmt.compose(a, model="none-such"), cmt.UsageError, "Known models"),
        (lambda *_: cmt.compose(7), TypeError, "PathLike"),
        (lambda *_: cmt.analyze(7), TypeError, "PathLike"),
        (lambda *_: cmt.analyze("a.mp4", tempo_range=(1,)), cmt.UsageError, "tempo_range must be"),
        (lambda *_: cmt.analyze("none-such.mp4"), cmt.VideoError, "none-such"),
        (lambda _, s: cmt.regenerate(s, bars="9-12"), cmt.UsageError, "bars from 1"),
        (lambda _, s: cmt.regenerate(s, bars=1.5), TypeError, "bars must be"),
        (lambda _, s: cmt.regenerate(s, bars=1, tracks=["oboe"]), cmt.UsageError, "tracks must be"),
        (lambda *_: cmt.regenerate("clip", bars=1), TypeError, "score must be"),
        (lambda _, s: s.save("clip.wav"), cmt.UsageError, ".mid or .json"),
        (lambda _, s: cmt.export(s, "tape", "x"), cmt.UsageError, "Choose from"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused(
    call: Callable[..., object], error: type[Exception], words: str, analysis: cmt.Analysis, score: cmt.Score
) -> None:
    with pytest.raises(error, match=re.escape(words)):
        call(analysis, score)


def test_progress_is_told_and_can_end_it(analysis: cmt.Analysis, model: cmt.LoadedModel, score: cmt.Score) -> None:
    shares: list[float] = []
    again = cmt.compose(analysis, seed=1, control=1, model=model, on_progress=shares.append)
    assert again == score
    assert shares == sorted(shares)
    assert shares[-1] == 1

    def stop(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cmt.compose(analysis, seed=1, model=model, on_progress=stop)


def test_an_interrupted_analysis_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CMT_BRIDGE_CACHE", str(tmp_path / "cache"))
    other = clips.write_clip(tmp_path / "other.mp4", clips.pulsing(4, 25, bpm=90, seed=4))

    def stop(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cmt.analyze(other, on_progress=stop)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [other]


def test_another_model_than_the_score_s_is_told(
    score: cmt.Score, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = replace(score, provenance=replace(score.provenance, model="lost", model_sha256="0" * 64))
    monkeypatch.setattr("cmt_bridge.model.registry.DEFAULT", str(tiny_model))
    with pytest.warns(UserWarning, match="lost, is not at hand: tiny did it"):
        cmt.regenerate(made, bars=2, candidates=1)


def test_a_saved_score_is_loaded_again(tmp_path: Path, score: cmt.Score) -> None:
    assert score.save(str(tmp_path / "a.mid")).read_bytes() == score.to_midi()
    score.save(tmp_path / "a.json")
    assert cmt.Score.load(tmp_path / "a.json") == score
    with pytest.raises(cmt.OutputError, match="overwrite=True"):
        score.save(tmp_path / "a.mid")
    score.save(tmp_path / "a.mid", overwrite=True)


def test_other_libraries_read_the_score(score: cmt.Score) -> None:
    count = len(list(score.notes()))
    assert sum(len(track.notes) for track in score.to_symusic().tracks) == count
    assert sum(len(part.notes) for part in score.to_pretty_midi().instruments) == count


@pytest.mark.parametrize("name", FORMATS)
def test_a_score_is_exported_in_each_format(name: str, tmp_path: Path, score: cmt.Score, clip: Path) -> None:
    made = cmt.export(score, name, tmp_path / f"out{FORMATS[name].suffix}", start="01:00:00:00")
    assert made.is_dir() == FORMATS[name].is_folder
    assert any(made.iterdir()) if made.is_dir() else made.stat().st_size
    if name == "reaper":
        assert clip.name in made.read_text(encoding="utf-8")
    with pytest.raises(cmt.OutputError, match="exists already"):
        cmt.export(score, name, made)
    assert list(tmp_path.iterdir()) == [made]


def test_notebooks_show_an_escaped_piano_roll(score: cmt.Score, analysis: cmt.Analysis) -> None:
    svg = ElementTree.fromstring(score._repr_html_())
    text = "".join(svg.itertext())
    assert "a <b> & c" in text
    strokes = [path.get("d", "").count("h") for path in svg.iter("{http://www.w3.org/2000/svg}path")]
    assert sum(strokes) == len(list(score.notes())) + len(score.tracks)
    assert ElementTree.fromstring(analysis._repr_html_()).findtext("caption") == "a <b> & c.mp4"


def test_an_analysis_is_plotted(analysis: cmt.Analysis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figure = analysis.plot()
    figure.savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(cmt.MissingError, match="pip install"):
        analysis.plot()


def blocks_of(page: Path) -> list[str]:
    """Return the code of a page of Markdown or of a notebook, which needs no kernel to be run."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".md":
        return re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    notebook = json.loads(text)
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    return ["".join(cell["source"]) for cell in code]


@pytest.mark.parametrize("page", ["docs/api.md", "examples/notebook.ipynb"])
def test_the_code_of_a_page_runs(
    page: str, clip: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cmt_bridge.model.registry.DEFAULT", str(tiny_model))
    shutil.copy(clip, "clip.mp4")
    names: dict[str, object] = {}
    for block in blocks_of(ROOT / page):
        exec(compile(block, page, "exec"), names)
    assert isinstance(names["score"], cmt.Score)
    assert Path("clip.mid").stat().st_size
