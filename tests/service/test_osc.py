from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from cmt_bridge.errors import InputError, UsageError
from cmt_bridge.service.osc import MOST_SUBSCRIBERS, PREFIX, OscControl
from tests.service.desk import Served, serve


class Sender:
    """A program that speaks OSC to a server."""

    def __init__(self, served: Served, port: int) -> None:
        self._token = served.token
        self._to = ("127.0.0.1", port)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(10)

    def raw(self, data: bytes) -> None:
        self.socket.sendto(data, self._to)

    def say(self, verb: str, *arguments: Any) -> None:
        self.raw(_message(verb, self._token, *arguments))

    def hear(self) -> tuple[str, list[Any]]:
        message = OscMessage(self.socket.recv(65536))
        return message.address.removeprefix(PREFIX), list(message.params)

    def ask(self, verb: str, *arguments: Any) -> tuple[str, str]:
        """Give `ok` or `error`, and what comes with it."""
        self.say(verb, *arguments)
        what, (named, outcome, text) = self.hear()
        assert (what, named) == ("reply", verb)
        return outcome, text

    def is_quiet(self) -> bool:
        """Tell that nothing came before the answer to another message."""
        return self.ask("status")[0] == "ok"


def _message(verb: str, *arguments: Any) -> bytes:
    builder = OscMessageBuilder(PREFIX + verb)
    for argument in arguments:
        builder.add_arg(argument)
    return builder.build().dgram


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    (tmp_path / "clip.mp4").touch()
    with serve(tmp_path) as served:
        yield served


@pytest.fixture
def osc(served: Served) -> Iterator[OscControl]:
    osc = OscControl(served.desk, served.token, 0)
    served.run(osc.start())
    yield osc
    served.run(osc.stop())


@pytest.fixture
def sender(served: Served, osc: OscControl) -> Iterator[Sender]:
    sender = Sender(served, osc.port)
    yield sender
    sender.socket.close()


def test_every_verb_reaches_the_desk(served: Served, sender: Sender) -> None:
    outcome, text = sender.ask("status")
    assert (outcome, json.loads(text)) == ("ok", {"folder": str(served.desk.folder)})
    outcome, text = sender.ask("score", "clip.mp4")
    assert (outcome, json.loads(text)["id"]) == ("ok", 1)
    for verb in ("accept", "reject", "choose"):
        assert sender.ask(verb, "clip.mp4", 2)[0] == "ok"
    assert sender.ask("choose", "clip.mp4", "step", -1.0)[0] == "ok"
    assert sender.ask("choose", "clip.mp4", 2, "step", 1)[0] == "ok"
    assert sender.ask("choose", "clip.mp4")[0] == "error"
    for verb in ("accept", "undo", "redo"):
        assert sender.ask(verb, "clip.mp4")[0] == "ok"
    assert sender.ask("cancel", 1)[0] == "ok"
    assert sender.ask("stream", "clip.mp4", "follow", "clock", "to", "synth, piano", "wait", 1)[0] == "ok"
    wanted = ("mute.drums", 1.0, "solo.bass", False, "density", 2.0, "control", 0.4, "loop", 3)
    assert json.loads(sender.ask("stream_control", *wanted)[1])["muted"] == ["drums"]
    assert sender.ask("stream_status") == sender.ask("stream_stop") == ("ok", '{"playing": ""}')
    assert sender.ask("stop") == ("ok", '{"stopping": true}')
    assert served.desk.asked == [
        ("status", {}),
        ("score", {"path": "clip.mp4"}),
        ("accept", {"path": "clip.mp4", "take": 2}),
        ("reject", {"path": "clip.mp4", "take": 2}),
        ("choose", {"path": "clip.mp4", "take": 2}),
        ("choose", {"path": "clip.mp4", "step": -1}),
        ("choose", {"path": "clip.mp4", "take": 2, "step": 1}),
        ("accept", {"path": "clip.mp4"}),
        ("undo", {"path": "clip.mp4"}),
        ("redo", {"path": "clip.mp4"}),
        ("cancel", {"id": 1}),
        ("stream", {"path": "clip.mp4", "follow": "clock", "to": ["synth", "piano"], "wait": True}),
        ("stream_control", {"mute.drums": True, "solo.bass": False, "density": 2, "control": 0.4, "loop": "3"}),
        ("stream_status", {}),
        ("stream_stop", {}),
        ("stop", {}),
    ]


def test_a_regeneration_is_told_in_pairs_and_floats(served: Served, sender: Sender) -> None:
    pairs = ("tracks", "bass, piano", "control", 0.7, "variations", 3.0, "keep", "rhythm", "from", 2.5)
    assert sender.ask("regenerate", "clip.mp4", 4, *pairs)[0] == "ok"
    assert served.desk.asked == [
        (
            "regenerate",
            {
                "path": "clip.mp4",
                "bars": "4",
                "tracks": ["bass", "piano"],
                "control": 0.7,
                "variations": 3,
                "keep": "rhythm",
                "from": 2.5,
            },
        )
    ]


@pytest.mark.parametrize(
    ("verb", "arguments", "said"),
    [
        ("score", (), "lacks 'path'"),
        ("score", (3.5,), "path must be text"),
        ("score", ("../x",), "is not in"),
        ("score", ("clip.mp4", "again"), "arguments too many"),
        ("score", ("clip.mp4", "again", True), "arguments too many"),
        ("regenerate", ("clip.mp4", "4", "keep"), "arguments too many"),
        ("regenerate", ("clip.mp4", "4", "bars", "5"), "twice"),
        ("regenerate", ("clip.mp4", "4", "kept", "all"), "no field 'kept'"),
        ("regenerate", ("clip.mp4", "4", "control", float("nan")), "control must be a number"),
        ("regenerate", ("clip.mp4", "4", "control", 2.0), "control must be a number from 0 to 1, not 2."),
        ("cancel", (7,), "no job 7"),
        ("cancel", ("x",), "id must be a whole number"),
        ("diff", ("clip.mp4", 1, 2), "nothing called 'diff'"),
    ],
)
def test_what_cannot_be_used_is_answered_by_a_sentence(
    sender: Sender, verb: str, arguments: tuple[Any, ...], said: str
) -> None:
    outcome, text = sender.ask(verb, *arguments)
    assert outcome == "error"
    assert said in text


def test_known_errors_are_reported_and_unforeseen_ones_hidden(
    served: Served, sender: Sender, caplog: pytest.LogCaptureFixture
) -> None:
    served.desk.error = InputError("A.", hint="B.")
    assert sender.ask("status") == ("error", "A. B.")
    served.desk.error = RuntimeError("secret")
    outcome, text = sender.ask("status")
    assert outcome == "error"
    assert "secret" not in text
    assert "secret" in caplog.text


def test_those_who_subscribed_hear_what_happens(sender: Sender) -> None:
    assert sender.ask("subscribe") == ("ok", "{}")
    sender.say("score", "clip.mp4")
    heard = dict(sender.hear() for _ in range(2))
    assert json.loads(heard["event"][0])["job"]["path"] == "clip.mp4"
    assert heard["reply"][:2] == ["score", "ok"]


def test_what_is_too_long_is_told_in_short(served: Served, sender: Sender) -> None:
    sender.ask("subscribe")
    job = {"id": 1, "share": 0.5, "reason": "🎬" * 9000, "request": {"path": "p" * 9000}, "takes": [1], "outcome": None}
    served.call(served.desk.events.publish, {"event": "job", "job": job})
    what, (text,) = sender.hear()
    assert what == "event"
    assert json.loads(text) == {"event": "job", "job": {"id": 1, "share": 0.5, "reason": "🎬" * 100}}


def test_the_last_subscribers_count(served: Served, osc: OscControl, sender: Sender) -> None:
    sender.ask("subscribe")
    others = [Sender(served, osc.port) for _ in range(MOST_SUBSCRIBERS)]
    try:
        for other in others:
            other.ask("subscribe")
        served.call(served.desk.events.publish, {"event": "progress", "id": 1, "stage": "compose", "share": 0.5})
        for other in others:
            assert other.hear()[0] == "event"
        assert sender.is_quiet()
    finally:
        for other in others:
            other.socket.close()
    served.call(served.desk.events.publish, {"event": "progress", "id": 1, "stage": "compose", "share": 0.6})
    assert sender.is_quiet()


def test_messages_of_a_bundle_are_carried_out(served: Served, sender: Sender) -> None:
    inner = OscBundleBuilder(IMMEDIATELY)
    inner.add_content(OscMessage(_message("accept", served.token, "clip.mp4", 1)))
    outer = OscBundleBuilder(2_000_000_000)
    outer.add_content(OscMessage(_message("score", served.token, "clip.mp4")))
    outer.add_content(inner.build())
    sender.raw(outer.build().dgram)
    assert [sender.hear()[1][0] for _ in range(2)] == ["score", "accept"]


@pytest.mark.parametrize("arguments", [(), ("wrong",), ("t" * 42,), (1,), ("ä" * 43,)])
def test_without_the_token_nothing_happens_nor_is_answered(
    served: Served, sender: Sender, caplog: pytest.LogCaptureFixture, arguments: tuple[Any, ...]
) -> None:
    for _ in range(3):
        sender.raw(_message("score", *arguments, "clip.mp4"))
    assert sender.is_quiet()
    assert served.desk.asked == [("status", {})]
    assert len(caplog.records) == 1


def test_nonsense_is_passed_over_without_a_word(
    served: Served, sender: Sender, caplog: pytest.LogCaptureFixture
) -> None:
    good = _message("score", served.token, "clip.mp4")
    bundle = b"#bundle\0" + bytes(8)
    nested = good
    for _ in range(300):
        nested = bundle + struct.pack(">I", len(nested)) + nested
    nonsense = [
        b"",
        b"\0",
        b"/",
        b"/cmt-bridge/",
        b"/cmt-bridge/score",
        b"/cmt-bridge/score\0\0\0",
        b"/cmt-bridge/score\0\0\0,",
        b"/cmt-bridge/score\0\0\0,sZQ\0\0\0\0" + b"a" * 40,
        b"/cmt-bridge/score\0\0\0,s\0\0\xff\xff\xff\0",
        b"/cmt-bridge/score\0\0\0,b\0\0\xff\xff\xff\xff",
        b"/cmt-bridge/score\0\0\0,[[[\0\0\0\0",
        b"/other/score\0\0\0\0,\0\0\0",
        b"/*/score\0\0\0\0,\0\0\0",
        b"#bundle\0",
        bundle + b"\xff\xff\xff\xff",
        bundle + bytes(4000),
        nested[:-1],
        b"x" * 9000,
        b"/cmt-bridge/score\0\0\0,s\0\0" + b"a" * 9000,
        *(good[:cut] for cut in range(1, len(good) - len("clip.mp4") - 4)),
    ]
    for data in nonsense:
        sender.raw(data)
    assert sender.is_quiet()
    assert [asked for asked in served.desk.asked if asked[0] != "status"] == []
    assert len(caplog.records) <= 1


def test_a_port_that_is_taken_is_named(served: Served, osc: OscControl) -> None:
    with pytest.raises(UsageError, match=f"for OSC at port {osc.port}"):
        served.run(OscControl(served.desk, served.token, osc.port).start())


def test_after_the_end_nothing_is_answered(served: Served) -> None:
    osc = OscControl(served.desk, served.token, 0)
    port = served.run(osc.start())
    served.run(osc.stop())
    served.run(osc.stop())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind(("127.0.0.1", port))


@pytest.mark.parametrize("text", [b"\xff.mp4", b"\xed\xa0\x80.mp4"])
def test_invalid_unicode_is_refused_with_the_token(served: Served, sender: Sender, text: bytes) -> None:
    for verb in (b"/cmt-bridge/score\0\0\0", b"/cmt-bridge/stop\0\0\0\0", b"/cmt-bridge/\xff\0\0\0\0"[:16]):
        for token in (served.token, "x" * 43):
            sender.raw(verb + b",ss\0" + token.encode() + b"\0" + text.ljust(12, b"\0"))
        assert sender.hear()[1][1:] == ["error", "A text of the message is not valid Unicode. Send it in UTF-8."]
    assert sender.is_quiet()
    assert served.desk.asked == [("status", {})]
