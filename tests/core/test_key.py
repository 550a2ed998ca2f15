import numpy as np
import pytest

from cmt_bridge.core.instruments import Instrument
from cmt_bridge.core.key import KEYS, heard_key, key_of, key_title, parse_key, relative_key
from cmt_bridge.core.options import ComposeOptions
from cmt_bridge.core.score import Note
from cmt_bridge.errors import UsageError


def test_keys_are_heard() -> None:
    scale = np.array([1, 0, 1, 0, 1, 1, 0, 1, 0, 1, 0, 1], float)
    scale[0] += 2
    assert key_of(scale) == (0, 0)
    assert key_of(np.roll(scale, 7)) == (7, 0)
    minor = np.array([3, 0, 1, 1.5, 0, 1, 0, 2, 1, 0, 1, 0], float)
    assert key_of(np.roll(minor, 9)) == (9, 1)


def test_the_key_of_notes_is_heard_without_the_drums() -> None:
    tune = [(Instrument.PIANO, Note(0, 57 + step, 4)) for step in (0, 3, 7, 0, 12, 3, 2, 8)]
    drums = [(Instrument.DRUMS, Note(0, 36 + step, 64)) for step in range(5)]
    assert heard_key(tune + drums) == "Am"
    assert heard_key(drums) == ""


@pytest.mark.parametrize(
    ("texts", "key"),
    [
        (("A minor", "Am", "a", "A min", "am", "A MINOR", "a-moll", "A_minor", " a   moll "), "Am"),
        (("A", "A major", "Amaj", "A-Dur", "AM", "a dur"), "A"),
        (("Bb major", "B♭", "Bb", "B flat", "B-flat major", "B-Dur", "A#", "BbM"), "Bb"),
        (("b-moll", "bb", "Bbm", "B♭ minor", "A♯ minor"), "Bbm"),
        (("B", "H", "H-Dur", "Cb", "B major"), "B"),
        (("b", "h", "h-moll", "Bm", "B minor"), "Bm"),
        (("C#m", "c#", "cis-moll", "C♯ minor", "C sharp minor", "Dbm", "des-moll", "D♭ min"), "C#m"),
        (("Es-Dur", "Es", "E♭", "D# major"), "Eb"),
        (("es", "es-moll", "D#m"), "Ebm"),
        (("as-moll", "gis-moll", "G#m", "A flat minor"), "Abm"),
        (("c-moll", "C minor", "c", "Cm"), "Cm"),
        (("F#", "Gb", "Fis-Dur", "Ges-Dur", "F sharp"), "F#"),
    ],
)
def test_keys_are_read_as_people_write_them(texts: tuple[str, ...], key: str) -> None:
    assert [parse_key(text) for text in texts] == [key] * len(texts)
    assert ComposeOptions(key=texts[0]).key == key


def test_every_key_is_read_by_its_own_name_and_title() -> None:
    assert [parse_key(key) for key in KEYS] == list(KEYS)
    assert [parse_key(key_title(key)) for key in KEYS] == list(KEYS)
    assert all(relative_key(relative_key(key)) == key for key in KEYS)
    assert relative_key("C") == "Am"


@pytest.mark.parametrize(
    "text", ["", "J", "minor", "A blues", "Cmm", "C##", "ds", "C minor major", "A" * 99, "la", "7"]
)
def test_what_is_no_key_is_refused_with_those_there_are(text: str) -> None:
    with pytest.raises(UsageError, match=r"Choose one of C, C#, .*Bm; A minor"):
        parse_key(text)
