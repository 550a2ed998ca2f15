from __future__ import annotations

import re
from pathlib import Path

import pytest

from cmt_bridge.core.instruments import NAMES, PROGRAMS, Instrument, instrument_of

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "instruments.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("program", "is_drum", "name", "instrument"),
    [
        (0, False, "", Instrument.PIANO),
        (16, False, "organ", Instrument.PIANO),
        (25, False, "", Instrument.GUITAR),
        (33, False, "", Instrument.BASS),
        (61, False, "brass", Instrument.STRINGS),
        (0, True, "", Instrument.DRUMS),
        (114, False, "drums ", Instrument.DRUMS),
        (120, False, "noise", None),
        (47, False, "timpani", None),
    ],
)
def test_instruments_by_name_channel_and_program(
    program: int, is_drum: bool, name: str, instrument: Instrument | None
) -> None:
    assert instrument_of(program, is_drum=is_drum, name=name) is instrument


@pytest.mark.parametrize(
    ("name", "instrument"),
    [
        ("Acoustic Bass", Instrument.BASS),
        ("Bass Guitar", Instrument.BASS),
        ("String Bass", Instrument.BASS),
        ("BASS2\0", Instrument.BASS),
        ("Drum Kit", Instrument.DRUMS),
        ("Bass Drum", Instrument.DRUMS),
        ("E-Piano", Instrument.PIANO),
        ("Bass and Piano", Instrument.PIANO),
        ("Violins", Instrument.STRINGS),
        ("Bass Clarinet", Instrument.STRINGS),
        ("Lead Guitar", Instrument.GUITAR),
        ("el. gtr 1", Instrument.GUITAR),
        ("Bassoon", Instrument.STRINGS),
        ("Embassy", Instrument.PIANO),
        ("Melody", Instrument.PIANO),
    ],
)
def test_a_name_decides_where_the_program_says_nothing(name: str, instrument: Instrument) -> None:
    assert instrument_of(0, is_drum=False, name=name) is instrument
    assert instrument_of(48, is_drum=False, name=name) is Instrument.STRINGS
    assert instrument_of(25, is_drum=False, name=name) is Instrument.GUITAR
    assert instrument_of(0, is_drum=True, name=name) is Instrument.DRUMS


def test_the_document_states_every_program() -> None:
    stated: dict[int, str] = {}
    for first, last, instrument in re.findall(r"^\| (\d+)(?:–(\d+))? \|.*\| (\w+) \|$", DOCUMENT, re.MULTILINE):
        stated |= dict.fromkeys(range(int(first) - 1, int(last or first)), instrument)
    assert sorted(stated) == list(range(128))
    for program, instrument in stated.items():
        given = instrument_of(program, is_drum=False)
        assert (given.title if given else "none") == instrument, program
    assert [first for first, _, _ in PROGRAMS] == sorted(first for first, _, _ in PROGRAMS)


def test_the_document_states_every_word() -> None:
    for instrument, words in NAMES.items():
        assert f"| {instrument.title} | {', '.join(words.split())} |" in DOCUMENT
    every = " ".join(NAMES.values()).split()
    assert len(set(every)) == len(every)
