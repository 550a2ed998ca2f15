from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cmt_bridge.errors import UsageError
from cmt_bridge.live.controls import CONTROLS, Controls, checked
from cmt_bridge.live.keys import Keys
from cmt_bridge.live.learn import Learned
from cmt_bridge.live.request import StreamRequest, asked, stretch
from cmt_bridge.player.order import BACKENDS, FOLLOWS, LEADS
from cmt_bridge.service.openapi import document

DRUMS, PIANO, GUITAR, BASS, STRINGS = 9, 0, 1, 2, 3


def test_what_is_muted_or_not_soloed_is_silent() -> None:
    assert Controls().silent == frozenset()
    assert Controls.of(("drums", "bass"), ()).silent == {DRUMS, BASS}
    assert Controls.of((), ("piano",)).silent == {DRUMS, GUITAR, BASS, STRINGS}
    assert Controls.of(("piano",), ("piano", "drums")).silent == {PIANO, GUITAR, BASS, STRINGS}
    assert Controls.of(("drums",), ()).turned({"mute.drums": False}).silent == frozenset()


def test_controls_are_set_and_told() -> None:
    controls = Controls().turned({"density": 3, "control": 1, "seed": 7, "loop": "5-8", "mute.bass": 1, "play": True})
    assert controls == Controls(frozenset({"bass"}), density=3, control=1.0, seed=7, loop=(4, 8))
    assert controls.composing == (3, 1.0, 7)
    assert controls.to_json()["loop"] == "5-8"
    assert Controls.from_json(controls.to_json()) == controls
    assert controls.turned({"loop": ""}).loop is None
    assert controls.turned(checked({"loop": "2"})).loop == (1, 2)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"mute.flute": True}, "no control 'mute.flute'.*mute.drums"),
        ({"density": 16}, "density must be a whole number from -15 to 15, not 16"),
        ({"density": True}, "density must be a whole number from -15 to 15, not true"),
        ({"control": "much"}, "control must be a number from 0 to 1, not 'much'"),
        ({"locate": 0}, "locate must be a whole number from 1 to 100,000, not 0"),
        ({"loop": "8-5"}, "loop must be bars from 1, such as 5-8, not '8-5'"),
        ({"loop": "0-4"}, "loop must be bars from 1, such as 5-8, not '0-4'"),
        ({"loop": 1.5}, "loop must be bars from 1, such as 5-8, not 1.5"),
    ],
)
def test_what_cannot_be_set_is_refused(wanted: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Controls().turned(wanted)


def test_the_control_api_knows_the_same_controls() -> None:
    schema = document()["components"]["schemas"]["StreamControls"]["properties"]
    kinds = {"switch": "boolean", "action": "boolean", "whole": "integer", "number": "number", "bars": "string"}
    assert {name: each["type"] for name, each in schema.items() if name != "learn"} == {
        control.name: kinds[control.kind.name] for control in CONTROLS
    }
    for control in CONTROLS:
        assert schema[control.name]["description"] == control.help
        if control.kind.name in ("whole", "number"):
            assert (schema[control.name]["minimum"], schema[control.name]["maximum"]) == control.kind.bounds


def test_the_control_api_sets_follow_and_lead() -> None:
    schema = document()["components"]["schemas"]["StreamRequest"]["properties"]
    assert schema["follow"]["enum"] == ["", *FOLLOWS]
    assert schema["lead"]["items"]["enum"] == list(LEADS)
    assert schema["backend"]["enum"] == list(BACKENDS)


# Requests


def test_what_is_said_goes_before_what_the_folder_says(tmp_path: Path) -> None:
    (tmp_path / "cmt-bridge.toml").write_text(
        '[live]\nfollow = "mtc"\nto = "synth"\nlatency = 12\nwarm = true\nname = "score"\nlead = "clock"\n'
    )
    clip = tmp_path / "clip.mp4"
    request = asked(clip, {"follow": None, "lead": ["mtc", "mmc"], "loop": "5-8", "options": {"control": 0.5}})
    assert request == StreamRequest(
        clip, {"control": "0.5"}, loop=(4, 8), follow="mtc", to=("synth",), latency={"": 12.0}, name="score",
        lead=("mtc", "mmc"),
    )  # fmt: skip
    assert asked(clip, {"follow": "", "from": ["a"], "port_per_track": True, "chase": False}).follow == ""


@pytest.mark.parametrize(
    "said", [{"follow": "me"}, {"lead": ["x"]}, {"latency": {"flute": 3}}, {"loop": "x"}, {"backend": "none"}]
)
def test_what_cannot_be_carried_out_is_refused_at_once(tmp_path: Path, said: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        asked(tmp_path / "clip.mp4", said)


def test_bars_are_read_from_one() -> None:
    assert [stretch(text, "loop") for text in ("", "3", "5-8")] == [None, (2, 3), (4, 8)]


# MIDI learn


def test_a_controller_that_is_moved_is_learned_and_remembered(tmp_path: Path) -> None:
    path = tmp_path / "state" / "live.toml"
    learned = Learned(path, ["mute.drums", "density"])
    assert (learned.waiting, learned.bind((0, 20)), learned.waiting) == ("mute.drums", "mute.drums", "density")
    assert learned.bind((15, 7)) == "density"
    again = Learned(path)
    assert again.knobs == {(0, 20): "mute.drums", (15, 7): "density"}
    again.learn("mute.drums")
    again.bind((0, 21))
    assert Learned(path).knobs == {(0, 21): "mute.drums", (15, 7): "density"}


def test_a_press_toggles_a_switch_and_a_knob_is_scaled(tmp_path: Path) -> None:
    learned = Learned(tmp_path / "live.toml", ["mute.drums", "density", "control", "play"])
    for number in range(4):
        learned.bind((0, number))
    off, on = Controls(), Controls.of(("drums",), ())
    presses = [learned.meaning((0, 0), value, off) for value in (127, 127, 0, 63, 64)]
    assert presses == [{"mute.drums": True}, {}, {}, {}, {"mute.drums": True}]
    learned.meaning((0, 0), 0, on)
    assert learned.meaning((0, 0), 100, on) == {"mute.drums": False}
    assert [learned.meaning((0, 1), value, off)["density"] for value in (0, 64, 127)] == [-15, 0, 15]
    assert [learned.meaning((0, 2), value, off)["control"] for value in (0, 127)] == [0.0, 1.0]
    assert [learned.meaning((0, 3), value, off) for value in (1, 127, 0)] == [{}, {"play": True}, {}]
    assert learned.meaning((3, 99), 5, off) == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x", "Cannot read"),
        ('"mute.flute" = [1, 2]', "no control 'mute.flute'"),
        ('"density" = [0, 2]', "density is no channel"),
        ('"density" = [1, 128]', "density is no channel"),
        ('"density" = 5', "density is no channel"),
        ('"loop" = [1, 2]', "no control 'loop'"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "live.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=words):
        Learned(path)


# Keys


class Playing:
    """A stream that does as it is told."""

    def __init__(self) -> None:
        self.controls = Controls()
        self.state: dict[str, Any] = {"rolling": True}
        self.position = 5 * 16.0 + 3
        self.done: list[dict[str, Any]] = []
        self.stopped = False

    def turn(self, wanted: Any) -> None:
        self.done.append(dict(wanted))
        self.controls = self.controls.turned(wanted)

    def stop(self) -> None:
        self.stopped = True


def test_keys_ask_for_what_they_stand_for() -> None:
    playing = Playing()
    keys = Keys(playing)
    for typed in (
        b" ",
        b"\x1b[C",
        b"\x1b[D",
        b"m1",
        b"m",
        b"1",
        b"s2",
        b"+",
        b"-",
        b"]",
        b"l",
        b"l",
        b"p",
        b"x?m",
        b"q",
    ):
        keys.press(typed)
    assert playing.done == [
        {"stop": True},
        {"locate": 7},
        {"locate": 5},
        {"mute.drums": True},
        {"mute.drums": False},
        {"solo.piano": True},
        {"density": 1},
        {"density": 0},
        {"control": 0.8},
        {"loop": "5-8"},
        {"loop": ""},
        {"panic": True},
    ]
    assert playing.stopped
    playing.state = {"rolling": False}
    keys.press(b" r")
    assert playing.done[-2] == {"play": True}
    assert playing.done[-1].keys() == {"seed"}


def test_keys_stop_at_the_ends() -> None:
    playing = Playing()
    playing.position = 0.0
    keys = Keys(playing)
    keys.press(b"\x1b[D")
    keys.press(b"+" * 20 + b"]" * 20)
    assert playing.done[0] == {"locate": 1}
    assert (playing.controls.density, playing.controls.control) == (15, 1.0)
