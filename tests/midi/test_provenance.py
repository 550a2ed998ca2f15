"""Where music came from is in its file, and no host shows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmt_bridge.core.score import Provenance
from cmt_bridge.midi.file import parsed
from cmt_bridge.midi.provenance import provenance_of, provenance_values
from cmt_bridge.outputs.midi import midi_bytes
from tests.outputs.midifiles import chunk, meta, midi
from tests.outputs.test_midi import make_score

NAME = Path("a.mid")
MADE = Provenance("1", "tiny", "abc", "Été.mp4", "def", 7, {"style": "calm"})


def test_it_comes_back() -> None:
    score = make_score(2)
    assert provenance_of(parsed(midi_bytes(score), NAME)) == score.provenance


@pytest.mark.parametrize("event", [meta(0x7F, provenance_values(MADE)), meta(1, MADE.text().encode())])
def test_both_forms_are_read(event: bytes) -> None:
    others = [(0, meta(1, b"{}")), (0, meta(0x7F, b"\x7dcmt-bridge set aside \xf7\x01\xf3")), (0, meta(1, b"\xff{"))]
    assert provenance_of(parsed(midi(chunk([]), chunk([*others, (0, event)])), NAME)) == MADE


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b'{"model": 1}',
        b'{"seed": 7}',
        b'{"model": "a", "more": 1}',
        b"{" * 70_000,
        b'{"model":"a","options":[]}',
    ],
)
def test_what_is_none_is_none(text: bytes) -> None:
    for event in (meta(1, text), meta(0x7F, b"\x7dcmt-bridge " + text), meta(0x7F, text)):
        assert provenance_of(parsed(midi(chunk([(0, event)])), NAME)) is None
