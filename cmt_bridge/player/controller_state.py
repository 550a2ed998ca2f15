"""The setting of an instrument: what messages have left it at, such as program, pedal, and the bend of its pitch."""

from __future__ import annotations

from typing import Final

__all__ = ["ControllerState"]

CONTROLLER, PROGRAM, PRESSURE, BEND = 0xB0, 0xC0, 0xD0, 0xE0
BANKS: Final = (0, 32)
DATA: Final = (6, 38)
STEPS: Final = (96, 97)  # up and down from what it was, which cannot be told again
PARAMETERS: Final = {101: (101, 100), 100: (101, 100), 99: (99, 98), 98: (99, 98)}
RESET: Final = 121
MODES: Final = range(120, 128)  # what ends sound, and is no setting
PEDALS: Final = (64, 66, 67, 69)
USUAL: Final = {1: 0, 11: 127, **dict.fromkeys((*PEDALS, 65, 68), 0)}
"""What controllers are at after a reset of all, as RP-015 has it; the others stay where they are."""

Slot = tuple[int, ...]
"""Status byte, and what tells apart what it sets."""


class ControllerState:
    """Take messages; give those that bring an instrument from anywhere to where they have left it.

    Registered parameters are told again with the numbers that choose them. Notes, the pressure of a key, system
    exclusives and what ends sound leave nothing behind.
    """

    def __init__(self) -> None:
        self._slots: dict[Slot, tuple[bytes, ...]] = {}
        self._chosen: dict[int, dict[int, int]] = {}  # controllers that choose a parameter, by channel

    def __bool__(self) -> bool:
        return bool(self._slots)

    def merge(self, other: ControllerState) -> None:
        """Take in what another one has set and this one has not."""
        self._slots = {**other._slots, **self._slots}

    def update(self, message: bytes) -> None:
        """Take in a message."""
        kind, channel = message[0] & 0xF0, message[0] & 0x0F
        if kind in (PROGRAM, PRESSURE, BEND):
            self._put((message[0],), message)
        elif kind == CONTROLLER and message[1] == RESET:
            self._reset(message, channel)
        elif kind == CONTROLLER and message[1] in PARAMETERS:
            chosen = self._chosen.setdefault(channel, {})
            if not chosen.keys() <= set(PARAMETERS[message[1]]):
                chosen.clear()
            chosen[message[1]] = message[2]
            self._put((message[0], 101), *self._choice(channel))
        elif kind == CONTROLLER and message[1] in DATA:
            choice = self._choice(channel)
            if len(choice) > 1:
                self._put((message[0], message[1], *b"".join(choice)), *choice, message)
                self._put((message[0], 101), *choice)  # the one that is chosen is told last
        elif kind == CONTROLLER and message[1] not in MODES and message[1] not in STEPS:
            self._put((message[0], message[1]), message)

    def messages(self) -> list[bytes]:
        """Return the messages, a bank before its program, all else as it was set."""
        first = [slot for slot in self._slots if slot[1:] and slot[1] in BANKS]
        programs = [slot for slot in self._slots if slot[0] & 0xF0 == PROGRAM]
        resets = [slot for slot in self._slots if slot[1:] == (RESET,)]
        rest = [slot for slot in self._slots if slot not in {*first, *programs, *resets}]
        return [message for slot in (*resets, *first, *programs, *rest) for message in self._slots[slot]]

    def resets(self, wanted: ControllerState) -> list[bytes]:
        """Return what brings back what is set here and not where another one is wanted, where there is a usual
        value.
        """
        found = []
        for slot in self._slots.keys() - wanted._slots.keys():
            status, *rest = slot
            if status & 0xF0 == BEND:
                found.append(bytes((status, 0, 64)))
            elif status & 0xF0 == PRESSURE:
                found.append(bytes((status, 0)))
            elif len(rest) == 1 and rest[0] in USUAL:
                found.append(bytes((status, rest[0], USUAL[rest[0]])))
        return sorted(found)

    def lifts(self) -> list[bytes]:
        """Return what lifts each pedal that is down."""
        down = (slot for slot, said in self._slots.items() if slot[1:] and slot[1] in PEDALS and said[-1][2] > 0)
        return [bytes((*slot[:2], 0)) for slot in sorted(down)]

    def sets(self, channel: int) -> bool:
        """Return whether the program of a channel is set."""
        return (PROGRAM | channel,) in self._slots

    def _put(self, slot: Slot, *messages: bytes) -> None:
        self._slots.pop(slot, None)  # so that it is told where it was set last
        if messages:
            self._slots[slot] = messages

    def _choice(self, channel: int) -> tuple[bytes, ...]:
        return tuple(bytes((CONTROLLER | channel, *each)) for each in self._chosen.get(channel, {}).items())

    def _reset(self, message: bytes, channel: int) -> None:
        for slot in [slot for slot in self._slots if slot[0] & 0x0F == channel]:
            usual = slot[0] & 0xF0 in (PRESSURE, BEND) or (len(slot) == 2 and slot[1] in {*USUAL, 101})
            if usual:
                del self._slots[slot]
        self._chosen.pop(channel, None)
        self._put((message[0], RESET), message)
