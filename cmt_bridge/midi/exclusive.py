"""System exclusives in one piece: a file may state one in packets, which hosts read as the end of all."""

from __future__ import annotations

from collections.abc import Iterable

from cmt_bridge.midi.events import (
    SEQUENCER_SPECIFIC,
    SYSEX,
    SYSEX_GOES_ON,
    WIRE_BYTES,
    Event,
    meta_event,
    number,
    number_bytes,
)

__all__ = ["exclusive", "is_exclusive", "joined", "values_of"]

ENDS = b"\xf7"
ASIDE = b"\x7dcmt-bridge set aside "


def values_of(message: bytes) -> bytes:
    """Return what follows the length of an exclusive, a packet, or what else is sent as it is (F7)."""
    return message[number(message, 1)[1] :]


def exclusive(values: bytes) -> bytes:
    """Return a system exclusive as a file states it; `values` are what follows F0, of which the end may be missing."""
    if not values.endswith(ENDS):
        values += ENDS
    return bytes((SYSEX,)) + number_bytes(len(values)) + values


def is_exclusive(message: bytes) -> bool:
    """Return whether a message is one system exclusive from its beginning to its end, and nothing else."""
    if message[0] != SYSEX:
        return False
    values = values_of(message)
    return values.endswith(ENDS) and all(value < 0x80 for value in values[:-1])


def joined(events: Iterable[Event]) -> list[Event]:
    """Return the events of a track with every system exclusive in one piece, on the tick of its first packet.

    One without an end gets it. What is whole stays the bytes that it is; what is nothing that a wire could carry is set
    aside in a sequencer-specific event, where hosts do not stumble over it.
    """
    found: list[Event] = []
    packets: list[bytes] = []
    place = 0

    def close() -> None:
        tick, first = found[place]
        whole = first if len(packets) == 1 and first.endswith(ENDS) else exclusive(b"".join(packets))
        found[place] = tick, whole if is_exclusive(whole) else _aside(whole)
        packets.clear()

    for tick, message in events:
        if message[0] == SYSEX:
            if packets:
                close()
            place = len(found)
            found.append((tick, message))
            packets.append(values_of(message))
        elif message[0] == SYSEX_GOES_ON and packets:
            packets.append(values_of(message))
        else:
            found.append((tick, _sent(message) if message[0] == SYSEX_GOES_ON else message))
            continue
        if packets[-1].endswith(ENDS):
            close()
    if packets:
        close()
    return found


def _sent(message: bytes) -> bytes:
    """Return what is sent as it is, apart from any exclusive: a message of its own, or set aside."""
    values = values_of(message)
    if values[:1] == bytes((SYSEX,)) and is_exclusive(exclusive(values[1:])):
        return exclusive(values[1:])
    is_message = len(values) > 0 and WIRE_BYTES.get(values[0]) == len(values) - 1
    return message if is_message and all(value < 0x80 for value in values[1:]) else _aside(message)


def _aside(message: bytes) -> bytes:
    return meta_event(SEQUENCER_SPECIFIC, ASIDE + message)
