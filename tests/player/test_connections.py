from __future__ import annotations

from pathlib import Path

from cmt_bridge.player.connections import LOOKS, Connections

DAW = {"daw:in": ["alsa_pcm:hw:0"], "synth:in": []}


def test_requested_ports_connect_by_any_name_or_part() -> None:
    assert Connections({"music": ["daw:in"]}).look({"music": DAW}, {}) == [("music", "daw:in")]
    assert Connections({"music": ["alsa_pcm:hw:0"]}).look({"music": DAW}, {}) == [("music", "daw:in")]
    assert Connections({"music": ["SYNTH"]}).look({"music": DAW}, {}) == [("music", "synth:in")]


def test_what_is_not_there_is_waited_for() -> None:
    cables = Connections({"music": ["organ"]})
    assert cables.look({"music": DAW}, {}) == []
    assert cables.missing == ["organ"]
    assert cables.look({"music": {"organ:in": []}}, {}) == [("music", "organ:in")]
    assert cables.missing == []


def test_what_somebody_connected_comes_again_with_its_port() -> None:
    cables = Connections({})
    assert cables.look({"music": DAW}, {"music": ["daw:in"]}) == []
    assert cables.look({"music": DAW}, {"music": []}) == []  # it is closing
    assert cables.look({"music": {}}, {"music": []}) == []
    assert cables.look({"music": DAW}, {"music": []}) == [("music", "daw:in")]


def test_a_quickly_restarted_program_is_reconnected() -> None:
    cables = Connections({})
    cables.look({"music": DAW}, {"music": ["daw:in", "synth:in"]})
    assert cables.look({"music": DAW}, {"music": ["synth:in"]}) == []
    assert cables.look({"music": DAW}, {"music": ["synth:in"]}, ["other", "daw"]) == [("music", "daw:in")]


def test_what_could_not_be_connected_is_tried_again() -> None:
    cables = Connections({"music": ["daw:in"]})
    assert cables.look({"music": DAW}, {}) == [("music", "daw:in")]
    assert cables.look({"music": DAW}, {}) == [("music", "daw:in")]
    assert cables.unsettled
    assert cables.look({"music": DAW}, {"music": ["daw:in"]}) == []
    assert not cables.unsettled


def test_what_somebody_took_out_stays_out(tmp_path: Path) -> None:
    memory = tmp_path / "ports.json"
    cables = Connections({"music": ["daw:in"]}, memory)
    cables.look({"music": DAW}, {"music": ["daw:in"]})
    cables.save()
    for look in range(LOOKS):
        assert cables.look({"music": DAW}, {"music": []}) == []
        assert cables.unsettled == (look < LOOKS - 1)
    cables.save()
    assert Connections({}, memory).look({"music": DAW}, {}) == []


def test_what_was_connected_is_known_after_a_kill(tmp_path: Path) -> None:
    memory = tmp_path / "ports.json"
    cables = Connections({}, memory)
    cables.look({"music": DAW, "sync in": {"daw:mtc": []}}, {"music": ["synth:in"], "sync in": ["daw:mtc"]})
    cables.save()
    again = Connections({}, memory)
    assert again.look({"music": DAW, "sync in": {}}, {}) == [("music", "synth:in")]
    assert again.look({"music": {}, "sync in": {"daw:mtc": []}}, {}) == [("sync in", "daw:mtc")]


def test_a_memory_that_is_damaged_is_none(tmp_path: Path) -> None:
    memory = tmp_path / "ports.json"
    for text in ("", "[1, 2]", '{"music": 3}', "\0"):
        memory.write_text(text)
        assert Connections({}, memory).look({"music": DAW}, {}) == []
