"""System exclusives in packets, which hosts read as the end of all, come in one piece."""

from __future__ import annotations

import pytest

from cmt_bridge.midi.events import Event
from cmt_bridge.midi.exclusive import exclusive, is_exclusive, joined
from tests.outputs.midifiles import meta

NOTE = (5, b"\x90\x3c\x40")
WHOLE = b"\xf0\x05\x43\x12\x01\x02\xf7"


def aside(message: bytes) -> bytes:
    return meta(0x7F, b"\x7dcmt-bridge set aside " + message)


@pytest.mark.parametrize(
    ("events", "wanted"),
    [
        ([(0, WHOLE), NOTE], [(0, WHOLE), NOTE]),
        ([(0, b"\xf0\x80\x02\x43\xf7")], [(0, b"\xf0\x80\x02\x43\xf7")]),  # as it was written
        ([(0, b"\xf0\x02\x43\x12"), (9, b"\xf7\x03\x01\x02\xf7")], [(0, WHOLE)]),
        ([(0, b"\xf0\x02\x43\x12"), NOTE, (7, b"\xf7\x02\x01\x02"), (9, b"\xf7\x01\xf7")], [(0, WHOLE), NOTE]),
        ([(0, b"\xf0\x04\x43\x12\x01\x02"), NOTE], [(0, WHOLE), NOTE]),  # no end
        ([(0, b"\xf0\x04\x43\x12\x01\x02"), (3, WHOLE)], [(0, WHOLE), (3, WHOLE)]),
        ([(0, WHOLE), (3, b"\xf7\x06" + WHOLE[:1] + WHOLE[2:])], [(0, WHOLE), (3, WHOLE)]),  # sent as it is
        ([(0, b"\xf7\x01\xf8")], [(0, b"\xf7\x01\xf8")]),
        ([(0, b"\xf7\x03\xf2\x10\x10")], [(0, b"\xf7\x03\xf2\x10\x10")]),
        ([(0, b"\xf7\x01\xf3"), NOTE], [(0, aside(b"\xf7\x01\xf3")), NOTE]),  # half a message
        ([(0, b"\xf7\x03\x90\x3c\x40")], [(0, aside(b"\xf7\x03\x90\x3c\x40"))]),
        ([(0, b"\xf7\x00")], [(0, aside(b"\xf7\x00"))]),
        ([(0, b"\xf0\x03\x90\x3c\xf7")], [(0, aside(b"\xf0\x03\x90\x3c\xf7"))]),
        ([(0, b"\xf0\x00")], [(0, b"\xf0\x01\xf7")]),
        ([], []),
    ],
)
def test_packets_are_put_together(events: list[Event], wanted: list[Event]) -> None:
    assert joined(events) == wanted
    assert joined(wanted) == wanted


def test_a_message_of_any_length_is_whole() -> None:
    data = bytes(index % 128 for index in range(100_000))
    packets = [(0, b"\xf0\x01\x00"), *((0, b"\xf7\x01" + data[at : at + 1]) for at in range(1, len(data)))]
    assert joined([*packets, NOTE]) == [(0, exclusive(data)), NOTE]
    assert is_exclusive(exclusive(data))
