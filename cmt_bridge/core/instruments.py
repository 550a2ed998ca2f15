"""The five instruments of the method and how General MIDI maps onto them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum

__all__ = ["NAMES", "PARTS", "PROGRAMS", "Instrument", "Part", "instrument_of"]


class Instrument(IntEnum):
    """The instrument column of a compound word; 0 stands for none."""

    DRUMS = 1
    PIANO = 2
    GUITAR = 3
    BASS = 4
    STRINGS = 5

    @property
    def title(self) -> str:
        """The track name, as the original writes it."""
        return self.name.capitalize()


@dataclass(frozen=True, slots=True)
class Part:
    """How an instrument is written and played.

    `channel` and `program` count from 0. `low` and `high` are the lowest and highest MIDI pitch composed, a
    comfortable range of the real instrument (drums: General MIDI's percussion keys). `polyphony` is the most
    notes of one simu-note.
    """

    instrument: Instrument
    channel: int
    program: int
    low: int
    high: int
    polyphony: int


PARTS: dict[Instrument, Part] = {
    part.instrument: part
    for part in (
        Part(Instrument.DRUMS, channel=9, program=0, low=35, high=81, polyphony=4),
        Part(Instrument.PIANO, channel=0, program=0, low=21, high=108, polyphony=10),
        Part(Instrument.GUITAR, channel=1, program=24, low=40, high=88, polyphony=6),
        Part(Instrument.BASS, channel=2, program=33, low=28, high=67, polyphony=1),
        Part(Instrument.STRINGS, channel=3, program=48, low=28, high=103, polyphony=6),
    )
}

PROGRAMS: tuple[tuple[int, int, Instrument], ...] = (
    (0, 23, Instrument.PIANO),  # pianos, chromatic percussion, organs and other keys
    (24, 31, Instrument.GUITAR),
    (32, 39, Instrument.BASS),
    (40, 46, Instrument.STRINGS),  # bowed and plucked strings
    (48, 103, Instrument.STRINGS),  # ensembles, choir, brass, reeds, pipes, synth leads and pads
    (104, 107, Instrument.GUITAR),  # sitar, banjo, shamisen, koto
    (108, 108, Instrument.PIANO),  # kalimba
    (109, 111, Instrument.STRINGS),  # bagpipe, fiddle, shanai
)
"""General MIDI programs (from 0) to instruments: (first, last, instrument).

Programs outside every row (timpani, unpitched percussion, sound effects) are what no instrument can play.
"""

NAMES: dict[Instrument, str] = {
    Instrument.DRUMS: "drum drums drumkit drumset percussion",
    Instrument.PIANO: "piano pianoforte rhodes wurlitzer organ harpsichord clavinet celesta vibraphone marimba "
    "xylophone glockenspiel accordion harmonica keys keyboard keyboards",
    Instrument.GUITAR: "guitar guitars gtr gtrs banjo mandolin ukulele sitar",
    Instrument.BASS: "bass basses bassline",
    Instrument.STRINGS: "strings string violin violins viola violas cello cellos violoncello contrabass harp choir "
    "chorus brass trumpet trumpets trombone trombones horn horns tuba sax saxophone oboe "
    "clarinet bassoon flute flutes piccolo recorder pad pads fiddle",
}
"""Words of a track's name that tell its instrument where its program does not."""

_BY_WORD = {word: instrument for instrument, words in NAMES.items() for word in words.split()}
_WORD = re.compile(r"[^\W\d_]+")


def instrument_of(program: int, *, is_drum: bool, name: str = "") -> Instrument | None:
    """Return the instrument that plays a track, or None where none of the five can.

    A track named after one of the five plays that one whatever its program; then channel 10 means drums; then the
    program decides (`PROGRAMS`). Program 0, which a track has that states none, leaves it to the words of the name
    (`NAMES`): the last one decides, since a bass drum is a drum and a string bass a bass; a bass guitar is a bass.
    """
    by_name = Instrument.__members__.get(name.strip().upper())
    if by_name is not None:
        return by_name
    if is_drum:
        return Instrument.DRUMS
    if program == 0:
        return _named(name) or Instrument.PIANO
    for first, last, instrument in PROGRAMS:
        if first <= program <= last:
            return instrument
    return None


def _named(name: str) -> Instrument | None:
    words = [word for word in _WORD.findall(name.lower()) if word in _BY_WORD]
    if words[-1:] and _BY_WORD[words[-1]] is Instrument.GUITAR and words[-2:-1] == ["bass"]:
        return Instrument.BASS
    return _BY_WORD[words[-1]] if words else None
