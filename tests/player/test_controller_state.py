from __future__ import annotations

import random

from cmt_bridge.player.controller_state import PEDALS, ControllerState


def setting(*messages: str) -> ControllerState:
    found = ControllerState()
    for message in messages:
        found.update(bytes.fromhex(message))
    return found


def hexes(messages: list[bytes]) -> list[str]:
    return [message.hex() for message in messages]


def test_the_last_settings_are_sent_bank_before_program() -> None:
    found = setting("c005", "b04005", "b0000a", "e00040", "b04007", "b02001", "d011", "b10109")
    assert hexes(found.messages()) == ["b0000a", "b02001", "c005", "e00040", "b04007", "d011", "b10109"]
    assert found.sets(0)
    assert not found.sets(1)


def test_what_leaves_nothing_behind_is_not_told() -> None:
    assert not setting("903c50", "803c00", "a03c09", "f07e7f0901f7", "b07b00", "b07800", "b06001")


def test_parameters_are_told_with_the_numbers_that_choose_them() -> None:
    found = setting("b06500", "b06400", "b0060c", "b02600", "b06501", "b06402", "b00640", "b0657f", "b0647f")
    told = hexes(found.messages())
    ends = [told.index(data) for data in ("b0060c", "b02600", "b00640")]
    assert [told[end - 2 : end] for end in ends] == [["b06500", "b06400"], ["b06500", "b06400"], ["b06501", "b06402"]]
    assert told[-2:] == ["b0657f", "b0647f"]


def test_a_reset_of_all_controllers_leaves_programs_banks_and_volume() -> None:
    found = setting("c005", "b0070a", "b0017f", "b0407f", "e00000", "d010", "b1407f", "b07900", "b00b40")
    assert hexes(found.messages()) == ["b07900", "c005", "b0070a", "b1407f", "b00b40"]


def test_settings_made_only_here_are_reset() -> None:
    here = setting("c005", "b0070a", "b0017f", "b0407f", "b00b40", "e00000", "d010", "b1407f")
    assert hexes(here.resets(setting("b14000"))) == ["b00100", "b00b7f", "b04000", "d000", "e00040"]
    assert here.resets(here) == []


def test_only_pedals_that_are_down_are_lifted() -> None:
    found = setting("b0407f", "b1407f", "b14000", "b24301", "b0017f")
    assert hexes(found.lifts()) == ["b04000", "b24300"]


def test_what_is_told_sets_the_same_again() -> None:
    dice = random.Random(1)
    for _ in range(300):
        here = ControllerState()
        for _ in range(40):
            kind, channel = dice.choice([0xB0, 0xB0, 0xB0, 0xC0, 0xD0, 0xE0]), dice.randrange(2)
            number = dice.choice([0, 1, 6, 7, 32, 38, 98, 99, 100, 101, 121, *PEDALS])
            data = (number, dice.randrange(4)) if kind in (0xB0, 0xE0) else (number,)
            here.update(bytes((kind | channel, *data)))
        again = ControllerState()
        for message in here.messages():
            again.update(message)
        assert set(again.messages()) == set(here.messages())
        assert again.resets(here) == here.resets(again) == []
