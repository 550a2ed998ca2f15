"""Text in MIDI files, which say nothing of its encoding."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

__all__ = ["ascii_of", "text_of"]

MARK: Final = b"\xef\xbb\xbf"  # of UTF-8
JAPANESE, WESTERN = "cp932", "cp1252"

KANA = re.compile("[\u3041-\u30ff]")
PRIVATE = re.compile("[\ue000-\uf8ff]")
WORD = re.compile("[A-Za-z\u0080-\uffff]+")
HALF_WIDTH = re.compile("[\uff61-\uff9f]{2,}")
SMALL_KANA = re.compile("[\uff61-\uff7f\uff9e\uff9f]")
"""Half-width letters whose bytes are signs in Western text, not capitals with accents."""

ENOUGH = 1000  # letters by which a language is told
SIGNS = range(0xA1, 0xC0)
"""Bytes that are signs in Western text, and not letters."""

LIGATURES: Final = str.maketrans(
    {
        "ß": "ss",
        "ẞ": "SS",
        "æ": "ae",
        "Æ": "AE",
        "œ": "oe",
        "Œ": "OE",
        "ø": "o",
        "Ø": "O",
        "ł": "l",
        "Ł": "L",
        "đ": "d",
        "Đ": "D",
        "ð": "d",
        "Ð": "D",
        "þ": "th",
        "Þ": "Th",
        "ı": "i",
        "ŉ": "n",
        "‘": "'",
        "’": "'",
        "‚": "'",
        "“": '"',
        "”": '"',
        "„": '"',
        "«": '"',
        "»": '"',
        "–": "-",
        "—": "-",
        "·": "-",
        "•": "-",
        "♯": "#",
        "♭": "b",
        "×": "x",
    }
)


def text_of(data: bytes) -> str:
    """Return the text of a meta event: UTF-8, else Shift-JIS where that gives Japanese, else Windows-1252.

    A byte order mark and null characters at the end are no part of it.
    """
    data = data.removeprefix(MARK).rstrip(b"\0")
    try:
        return data.decode()
    except UnicodeDecodeError:
        pass
    try:
        text = data.decode(JAPANESE)
    except UnicodeDecodeError:
        text = ""
    return text if _is_japanese(text[:ENOUGH]) else data.decode(WESTERN, "replace")


def _is_japanese(text: str) -> bool:
    """Return whether what Shift-JIS makes of a text can be meant.

    Western text often happens to be Shift-JIS as well: a letter with an accent and the letter behind it make a kanji.
    So it is believed where there are kana, or where words are kanji throughout, written as usual ones are.
    """
    if not text or PRIVATE.search(text):
        return False
    if KANA.search(text):
        return True
    words = [word for word in WORD.findall(text) if not word.isascii()]
    if any(letter.isascii() for word in words for letter in word):
        return False
    if any(SMALL_KANA.search(kana) for word in words for kana in HALF_WIDTH.findall(word)):
        return True
    written = [[letter.encode(JAPANESE) for letter in word] for word in words]
    usual = [[code for code in word if len(code) == 2 and (code[0] < 0xA0 or code[1] in SIGNS)] for word in written]
    is_alone = not re.search("[A-Za-z]", text)
    return any(word and (is_alone or len(word) > 1 or word[0][1] >= 0x80) for word in usual)


def ascii_of(text: str) -> str:
    """Return a text in ASCII, for hosts that take no more: without accents, `?` for what has no likeness there."""
    plain = unicodedata.normalize("NFKD", text.translate(LIGATURES))
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return plain.encode("ascii", "replace").decode()
