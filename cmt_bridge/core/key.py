"""Keys: how people write them, and which one music is heard in, from how long each pitch class sounds."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from cmt_bridge.core.instruments import Instrument
from cmt_bridge.errors import UsageError

if TYPE_CHECKING:
    from cmt_bridge.core.score import Note

__all__ = ["KEYS", "KEY_PROFILES", "SCALES", "heard_key", "key_of", "key_title", "parse_key", "relative_key"]

TONICS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
KEYS = (*TONICS, *(f"{tonic}m" for tonic in TONICS))
"""The keys there are, by the one name that is written: major ones first, from C up by semitones."""

# Krumhansl & Kessler 1982: how well each pitch class fits a major and a minor key on C.
KEY_PROFILES = np.array(
    [
        [6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88],
        [6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17],
    ]
)

SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10))
"""The major and the natural minor scale, in semitones above the tonic."""

LETTERS: Final = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11, "h": 11}
RAISED: Final = ("#", "♯", "is", "sharp")
LOWERED: Final = ("b", "♭", "es", "s", "flat")
MINOR: Final = ("m", "mi", "min", "minor", "moll")
GERMAN: Final = ("dur", "moll")  # where B is a semitone below H
LONGEST: Final = 24
SPELLING: Final = re.compile(
    r"([a-h])(?:[ -]?(sharp|flat)|(#|♯|♭|is|(?<=[ea])s(?![a-z])|es|b))?[ _-]*(minor|min|mi|moll|m|major|maj|dur)?"
)


def parse_key(text: str) -> str:
    """Return the one name, of `KEYS`, of a key as people write it. Raises `UsageError` where it is none.

    A letter alone is a major key, a small one a minor key, as music theory has it.

    >>> [parse_key(text) for text in ("A minor", "am", "Bb major", "D♭", "cis-moll", "a")]
    ['Am', 'Am', 'Bb', 'C#', 'C#m', 'Am']
    """
    plain = " ".join(unicodedata.normalize("NFKC", text).translate({0x2013: "-", 0x2212: "-"}).split())
    found = SPELLING.fullmatch(plain.lower()) if len(plain) <= LONGEST else None
    if found is None:
        raise UsageError(
            f"There is no key {text[:LONGEST]!r}.",
            hint=f"Choose one of {', '.join(KEYS)}; A minor, a-moll and B♭ major are understood too.",
        )
    letter, word, sign, mode = found.groups()
    shift = ((word or sign) in RAISED) - ((word or sign) in LOWERED)
    if letter == "b" and mode in GERMAN and not shift:
        shift = -1
    if mode is None or mode == "m":
        minor = plain[0].islower() if mode is None else not plain.endswith("M")
    else:
        minor = mode in MINOR
    return KEYS[(LETTERS[letter] + shift) % 12 + 12 * minor]


def key_title(key: str) -> str:
    """Return a key of `KEYS` as people read it.

    >>> key_title("F#m"), key_title("C")
    ('F# minor', 'C major')
    """
    return f"{key.removesuffix('m')} {'minor' if key.endswith('m') else 'major'}"


def key_of(pitch_classes: npt.NDArray[np.float64]) -> tuple[int, int]:
    """Return tonic (0..11) and mode (0 major, 1 minor) of durations per pitch class: the best correlated profile."""
    rotated = np.stack([np.roll(profile, tonic) for profile in KEY_PROFILES for tonic in range(12)])
    rotated = rotated - rotated.mean(1, keepdims=True)
    heard = pitch_classes - pitch_classes.mean()
    best = int(np.argmax(rotated @ heard / np.linalg.norm(rotated, axis=1)))
    return best % 12, best // 12


def heard_key(notes: Iterable[tuple[Instrument, Note]]) -> str:
    """Return the key, of `KEYS`, that notes are heard in; empty where nothing pitched sounds."""
    sounding = np.zeros(12)
    for instrument, note in notes:
        if instrument is not Instrument.DRUMS:
            sounding[note.pitch % 12] += note.duration
    if not sounding.any():
        return ""
    tonic, mode = key_of(sounding)
    return KEYS[tonic + 12 * mode]


def relative_key(key: str) -> str:
    """Return the key of the same notes and the other mode."""
    mode, tonic = divmod(KEYS.index(key), 12)
    return KEYS[(tonic + 3) % 12] if mode else KEYS[12 + (tonic + 9) % 12]
