"""Bounds of numbers, and of JSON and TOML: what goes beyond them is refused at once, in a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cmt_bridge.composition.plan import at_tempo, plan
from cmt_bridge.config import read_config
from cmt_bridge.core import bounds
from cmt_bridge.core.bounds import Bound, BoundsError, plain, read_json_bytes, read_toml_bytes, shortened
from cmt_bridge.core.metadata import VideoMetadata, VideoSource
from cmt_bridge.core.options import ComposeOptions
from cmt_bridge.core.tokens import Column
from cmt_bridge.errors import CmtBridgeError, ScoreError, UsageError, VideoError
from cmt_bridge.outputs.scorefile import read_json, write_json
from cmt_bridge.settings import compose_options
from cmt_bridge.takes.take import TakeInfo

TABLE = {name: value for name, value in vars(bounds).items() if isinstance(value, Bound)}


@pytest.mark.parametrize("bound", TABLE.values(), ids=TABLE)
def test_each_bound_says_what_it_is(bound: Bound) -> None:
    assert bound.least < bound.most
    assert bound.fault(bound.least) == bound.fault(bound.most) == ""
    for value in (bound.least - 1, bound.most * 2 + 1, float("nan"), float("inf"), -float("inf"), 10**400):
        fault = bound.fault(value)
        assert bound.what in fault
        assert len(fault) < 200
    with pytest.raises(UsageError, match=bound.what):
        bound.check(bound.most + 1)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"[" + b"9" * 100_000 + b"]", "a number of 100,000 digits"),
        (b'{"a": 1, "a": 2}', "says 'a' twice"),
        (b'["\\ud800"]', "half of a letter"),
        (b"[" * 2**20 + b"[", "more than 1,048,576 lists"),
        (b" " * (32 << 20) + b"[]", "larger than 32 MB"),
    ],
)
def test_json_out_of_bounds_is_refused(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(BoundsError, match=words):
        read_json_bytes(data)
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(ScoreError, match=f"is damaged: .*{words}"):
        read_json(tmp_path / "a.json")


def test_json_within_bounds_is_read(tmp_path: Path) -> None:
    data = {"a": [1, -2.5, "ü\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"), None, 2**53], "b": {}}
    assert read_json_bytes(b"\xef\xbb\xbf" + json.dumps(data).encode()) == data
    write_json(data, tmp_path / "a.json")
    assert read_json(tmp_path / "a.json") == data
    assert read_json_bytes(b'["' + b"1" * 64 + b'"]') == ["1" * 64]  # digits in a text are no number


@pytest.mark.parametrize(
    "text",
    [
        "a." * 13_000 + "a = 1",
        "[" + "a." * 13_000 + "a]",
        '"a" . ' * 9_000 + "a = 1",
        "a = " + "[" * 30_000,
        "a = " + "{a=" * 500 + "1" + "}" * 500,
        "a = " + "9" * 60_000,
        "a = 0x" + "f" * 60_000,
        "a = [" + "1," * 30_000 + "]",
        "a = 1\n" * 30_000,
        "a = '" + "x" * 5_000 + "'",
        "a = 1\n" + "#" * 70_000,
        "\ufeff[score\n",
    ],
)
def test_toml_out_of_bounds_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "cmt-bridge.toml").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match="is not valid TOML: ") as caught:
        read_config(tmp_path)
    assert len(str(caught.value)) < 500


def test_toml_within_bounds_is_read() -> None:
    text = 'ignore = ["1.2.3.4.5.6.7.8.mp4"]\nrange = [0.1, 0.2]\n[a.b.c]\n"d.e" = "x"\n'
    assert read_toml_bytes(b"\xef\xbb\xbf" + text.encode())["a"] == {"b": {"c": {"d.e": "x"}}}


def test_a_control_by_bar_has_an_end() -> None:
    many = ",".join(["1-9999:1"] * 2_600)  # 26 KB, of which each bar would be told of 2,600 times
    with pytest.raises(UsageError, match="2,600 stretches of bars"):
        compose_options({"control": many})
    for text in ("1-10000:1", "1-99999999999999999999:1", "1:" + "1" * 400, "9" * 5000 + ":1", "1:1" * 10_000):
        with pytest.raises(UsageError, match="control") as caught:
            compose_options({"control": text})
        assert len(str(caught.value)) < 300
    options = compose_options({"control": "1-4:1,9:0.3,3:0.5"})
    assert options.density_control == (1, 1, 0.5, 1, 0.7, 0.7, 0.7, 0.7, 0.3, 0.7)


@pytest.mark.parametrize("value", [1e-308, 5e-324, 0.0, -1.0, 1e9, float("nan"), float("inf")])
def test_a_temperature_is_one_that_can_be_divided_by(value: float) -> None:
    with pytest.raises(UsageError, match="temperature"):
        ComposeOptions(temperature={Column.PITCH: value})
    with pytest.raises(UsageError, match="temperature"):
        compose_options({"temperature": f"{value!r}"})


def film(seconds: float, tempo: float = 120.0) -> VideoMetadata:
    return VideoMetadata(VideoSource("film.ts", "", 64, 48, 0, (25, 1), 2), seconds, tempo, "given", (), (), (1.0,))


def test_a_film_of_too_many_bars_is_refused() -> None:
    assert plan(film(19_999.9)).bars == 10_000
    for found in (film(20_100), film(86_400, 122.3), film(86_400, 1000)):
        with pytest.raises(VideoError, match=r"film\.ts lasts .* hours, which are .* bars at"):
            plan(found)
    with pytest.raises(VideoError, match="bars"):
        at_tempo(film(10_000, 60), 400)


FACTS: dict[str, Any] = TakeInfo("regenerate", "2026-01-02T03:04:05+00:00", request={"bars": [[1, 2]]}).to_json()


@pytest.mark.parametrize(
    "changes",
    [
        {"request": {"bars": [[1, 10**12]]}},
        {"request": {"bars": [[1, 9_000], [1, 9_000]]}},
        {"request": {"bars": [[1, 1]] * 2_000}},
        {"request": {"bars": [[1, 2, 3]]}},
        {"request": {"bars": 5}},
        {"request": {"tracks": 5}},
        {"request": [1]},
        {"request": {"a": "x" * 5_000}},
        {"request": {"a": [[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]}},
        {"seed": 10**30},
        {"seed": -1},
        {"origin": 0},
        {"origin": 10**12},
        {"surprise": float("nan")},
        {"surprise": "x"},
        {"made": 5},
        {"key": ["x"]},
        {"files": {"../x": "a"}},
        {"files": {"a/b.mid": "a"}},
        {"files": 5},
    ],
)
def test_the_facts_of_a_take_are_within_bounds(changes: dict[str, Any]) -> None:
    assert TakeInfo.from_json(FACTS, source="take.json").request == {"bars": [[1, 2]]}
    with pytest.raises(ScoreError, match=r"take\.json is damaged") as caught:
        TakeInfo.from_json({**FACTS, **changes}, source="take.json")
    assert len(str(caught.value)) < 400


def test_what_has_no_form_is_plain() -> None:
    assert plain({"a": [1, {"b": 2.5}]}) == {"a": [1, {"b": 2.5}]}
    for data in ({"a": float("inf")}, {"a": 2**70}, {"a": list(range(60_000))}):
        with pytest.raises(BoundsError):
            plain(data)


def test_what_is_quoted_in_a_sentence_is_short() -> None:
    assert shortened("ü") == "'ü'"
    assert len(shortened("x" * 10**6)) < 100
    for settings in ({"tempo": "x" * 10**5}, {"pitches": "bass=" + "1" * 10**5}, {"instruments": "y" * 10**5}):
        with pytest.raises(CmtBridgeError) as caught:
            compose_options(settings) if "tempo" not in settings else _tempo(settings)
        assert len(str(caught.value)) < 400


def _tempo(settings: dict[str, str]) -> None:
    from cmt_bridge.settings import analysis_options

    analysis_options(settings)
