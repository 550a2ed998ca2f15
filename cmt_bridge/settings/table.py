"""The table of settings: what a person may choose when scoring, regenerating and streaming.

Each setting has one row. Options of the command line, keys of cmt-bridge.toml, fields of the control API and the table
of the host scripts are made from these rows, so names, ranges, defaults and help are stated here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal

from cmt_bridge.core.bounds import (
    CANDIDATES,
    CONTROL,
    CUT_SENSITIVITY,
    DENSITY,
    FILM,
    LATENCY,
    NUCLEUS,
    PITCH,
    POLYPHONY,
    RECALL,
    SEED,
    TEMPERATURE,
    TEMPO,
    VARIATIONS,
)
from cmt_bridge.core.instruments import Instrument
from cmt_bridge.errors import UsageError
from cmt_bridge.player.order import BACKENDS, FOLLOWS, LEADS
from cmt_bridge.settings.kinds import (
    BarRange,
    Choice,
    ChoiceList,
    FilePath,
    Kind,
    Label,
    Moment,
    NameList,
    Number,
    NumberByName,
    NumberPerBar,
    NumberRange,
    PitchesByName,
    Switch,
    Text,
    WholeByName,
    WholeNumber,
    not_allowed,
)

__all__ = [
    "COLUMNS",
    "INSTRUMENTS",
    "PRECISIONS",
    "SETTINGS",
    "USUAL_CONTROL",
    "Setting",
    "Verb",
    "of_section",
    "of_verb",
    "setting",
]

Verb = Literal["score", "regenerate", "stream"]
SCORE: Final[tuple[Verb, ...]] = ("score",)
REGENERATE: Final[tuple[Verb, ...]] = ("regenerate",)
STREAM: Final[tuple[Verb, ...]] = ("stream",)
BOTH: Final = SCORE + STREAM
ALL: Final = SCORE + REGENERATE + STREAM

PRECISIONS: Final = ("float32", "bfloat16", "int8")
KEEPS: Final = ("rhythm", "pitches")
INSTRUMENTS: Final = tuple(instrument.name.lower() for instrument in Instrument)
COLUMNS: Final = ("beat", "density", "pitch", "duration", "instrument", "strength", "velocity")
"""What a network draws of a word, by name: `core.tokens.CHOSEN`, which is not loaded here since it needs NumPy."""

USUAL_CONTROL: Final = 0.7


@dataclass(frozen=True, slots=True)
class Setting:
    """What a person may choose.

    Attributes:
        name: Its name: the key in cmt-bridge.toml, the field in JSON, the option with `-` for `_`.
        kind: What it may be, and how it is read.
        help: What it does, in a sentence.
        verbs: The verbs that take it.
        default: Its value where nobody chooses, as `read` returns it; None where that is left open.
        unit: The unit of a number.
        section: Its section in cmt-bridge.toml; empty where it is chosen for one request only.
        aliases: Further keys in cmt-bridge.toml.
        option: The option of the command line; empty where there is none.
        short: The option's short form.
    """

    name: str
    kind: Kind
    help: str
    verbs: tuple[Verb, ...]
    default: Any = None
    unit: str = ""
    section: Literal["", "score", "live", "outputs", "watch"] = ""
    aliases: tuple[str, ...] = ()
    option: str = "--"
    short: str = ""

    def __post_init__(self) -> None:
        if self.option == "--":
            object.__setattr__(self, "option", f"--{self.name.replace('_', '-')}")

    def read(self, value: Any) -> Any:
        """Return what a value means: text, or plain data of TOML or JSON. Raises `UsageError` for what is not allowed.

        >>> setting("score", "tempo_range").read([80, 120])
        (80.0, 120.0)
        """
        try:
            return self.kind.read(value)
        except (ValueError, TypeError, OverflowError):
            raise self.error(value) from None

    def error(self, value: Any) -> UsageError:
        """Return the error for a value that is not allowed: which setting, what is allowed, and what was given."""
        return not_allowed(self.name, self.kind.allowed, value, self.help)


def _ports(what: str) -> NameList:
    return NameList(f"ports {what}".strip())


SETTINGS: Final[tuple[Setting, ...]] = (
    # Which bars of a score are composed anew.
    Setting(
        "bars",
        Text("bars from 1, such as 4-8,13"),
        "Bars as a DAW counts them, the last included: 4-8, or 4-8,13.",
        REGENERATE,
    ),
    Setting(
        "from",
        Moment(FILM),
        "Instead: from the bar that holds this second, or from this marker …",
        REGENERATE,
        unit="s",
    ),
    Setting("to", Moment(FILM), "… to the one that holds this second, or up to this marker.", REGENERATE, unit="s"),
    Setting(
        "marker",
        Text(most=200),
        'Instead: from this marker, such as "Section B", to the next of its kind.',
        REGENERATE,
    ),
    Setting(
        "tracks",
        ChoiceList(INSTRUMENTS, least=1),
        "Only these tracks, such as drums,bass. Without it, all that the score has.",
        REGENERATE,
    ),
    Setting("lock", ChoiceList(INSTRUMENTS, least=1), "All tracks but these.", REGENERATE),
    Setting("keep", Choice(KEEPS), "Keep this of the bars as it was.", REGENERATE),
    Setting(
        "base",
        FilePath("the path of a file"),
        "A MIDI file exported from your DAW: what it holds is what there is.",
        REGENERATE,
    ),
    # How music is played.
    Setting("fresh", Switch(), "Compose anew, although the clip has a take.", STREAM, False),
    Setting("endless", Switch(), "Go on composing after the video's end, until it is stopped.", STREAM, False),
    Setting(
        "follow",
        Choice(("", *FOLLOWS)),
        "Follow the DAW by this, instead of playing by itself.",
        STREAM,
        "",
        section="live",
    ),
    Setting(
        "lead",
        ChoiceList(LEADS, spelled=True),
        "Let others follow by these; several with commas.",
        STREAM,
        (),
        section="live",
    ),
    Setting("to", _ports("to play into"), "Port to play into, or a part of its name.", STREAM, (), section="live"),
    Setting("from", _ports("to follow"), "Port to follow, or a part of its name.", STREAM, (), section="live"),
    Setting(
        "sync_to", _ports("to send clock to"), "Port to send clock, timecode and MMC to.", STREAM, (), section="live"
    ),
    Setting("controls_from", _ports("of controllers"), "Port of a MIDI controller.", STREAM, (), section="live"),
    Setting(
        "port_per_track",
        Switch(),
        "A port for each track instead of one with five channels.",
        STREAM,
        False,
        section="live",
    ),
    Setting(
        "latency",
        NumberByName(LATENCY, INSTRUMENTS, "drums=5,strings=30"),
        "How many milliseconds late your instruments sound: 12, or drums=5,strings=30.",
        STREAM,
        {},
        unit="ms",
        section="live",
    ),
    Setting(
        "start",
        Label(),
        "Timecode of bar 1, such as 01:00:00:00. Without it, the film's own, or the full hour.",
        STREAM,
        "",
        section="live",
    ),
    Setting("loop", BarRange(), "Repeat these bars: 5-8.", STREAM, ""),
    Setting("wait", Switch(), "Do not begin before somebody starts it.", STREAM, False),
    Setting("mute", ChoiceList(INSTRUMENTS), "Tracks to begin silent, such as drums,bass.", STREAM, ()),
    Setting("solo", ChoiceList(INSTRUMENTS), "Tracks to begin alone.", STREAM, ()),
    Setting(
        "chase",
        Switch(),
        "Strike what should be sounding where the music is entered.",
        STREAM,
        True,
        section="live",
        option="--no-chase",
    ),
    Setting(
        "backend",
        Choice(BACKENDS),
        "What to play through; auto takes the best there is.",
        STREAM,
        "auto",
        section="live",
    ),
    Setting("name", Text(most=32), "Name of the ports.", STREAM, "cmt-bridge", section="live"),
    Setting(
        "warm",
        Switch(),
        "A daemon keeps the model ready, so that music begins at once.",
        (),
        False,
        section="live",
        option="",
    ),
    # How much is composed.
    Setting("variations", WholeNumber(VARIATIONS), "Takes to compose.", SCORE, 1, "takes", "score", short="-n"),
    Setting("variations", WholeNumber(VARIATIONS), "Takes to keep.", REGENERATE, 1, "takes", short="-n"),
    Setting(
        "candidates",
        WholeNumber(CANDIDATES),
        # With fewer than 8 the right seam costs over 10 % more than that of real music (models/README.md).
        "How many to compose; the takes kept are those that lead best into what follows.",
        REGENERATE,
        8,
    ),
    Setting(
        "seed",
        WholeNumber(SEED),
        "Seed of the first take; the others count up. Without it, the first that no take has.",
        BOTH,
        section="score",
    ),
    Setting(
        "seed",
        WholeNumber(SEED),
        "Seed of the first candidate; the others count up. Without it, a new one.",
        REGENERATE,
    ),
    # How it is composed.
    Setting(
        "control",
        NumberPerBar(CONTROL, USUAL_CONTROL),
        "How closely to follow the picture (C).",
        BOTH,
        (USUAL_CONTROL,),
        section="score",
        aliases=("C", "c"),
    ),
    Setting("control", Number(CONTROL), "How closely to follow the picture. Without it, as the score did.", REGENERATE),
    Setting(
        "density_control",
        NumberPerBar(CONTROL, USUAL_CONTROL),
        "The same for motion speed and density alone.",
        BOTH,
        section="score",
    ),
    Setting(
        "beat_control",
        NumberPerBar(CONTROL, USUAL_CONTROL),
        "The same for visual beats and strength alone.",
        BOTH,
        section="score",
    ),
    Setting(
        "density",
        WholeNumber(DENSITY),
        "Onsets per bar more (2) or less (-2) than the picture asks for.",
        REGENERATE,
        0,
        "onsets per bar",
    ),
    Setting(
        "recall",
        Number(RECALL),
        "How strictly phrases return, A A B A, where the picture is followed; 0: not at all.",
        BOTH,
        1.0,
        section="score",
    ),
    Setting(
        "instruments",
        ChoiceList(INSTRUMENTS),
        "Who plays, such as drums,bass,piano. Without it, all five.",
        BOTH,
        section="score",
    ),
    Setting(
        "style",
        Text(),
        "Such as rock or ballad; `cmt-bridge models show` lists what the model knows. Without it, any.",
        BOTH,
        section="score",
        aliases=("genre",),
    ),
    Setting(
        "key",
        Text(),
        "Such as C, F# minor or Am (a small letter alone is minor too). Without it, any.",
        BOTH,
        section="score",
    ),
    Setting(
        "temperature",
        NumberByName(TEMPERATURE, COLUMNS, "pitch=1.1,duration=1.5"),
        "How adventurous: 1.1, or per column, pitch=1.1,duration=1.5.",
        BOTH,
        {},
        section="score",
    ),
    Setting("temperature", Number(TEMPERATURE), "How adventurous. Without it, as for the score.", REGENERATE),
    Setting(
        "nucleus",
        NumberByName(NUCLEUS, COLUMNS, "pitch=0.8"),
        "Share of likely choices kept: 0.9, or per column, pitch=0.8. Without it, the model's own.",
        BOTH,
        {},
        section="score",
    ),
    Setting(
        "polyphony",
        WholeByName(POLYPHONY, INSTRUMENTS, "piano=4,strings=3"),
        "Most notes at once, per instrument: piano=4,strings=3.",
        BOTH,
        {},
        "notes",
        "score",
    ),
    Setting(
        "pitches",
        PitchesByName(PITCH, INSTRUMENTS, "bass=28-50"),
        "Lowest and highest MIDI pitch, per instrument: bass=28-50.",
        BOTH,
        {},
        "MIDI pitch",
        "score",
    ),
    Setting(
        "model", Text(), "Name of a model, or path of its weights; see `cmt-bridge models list`.", BOTH, section="score"
    ),
    Setting(
        "model", Text(), "Name of a model, or path of its weights. Without it, the one that made the score.", REGENERATE
    ),
    Setting(
        "precision",
        Choice(PRECISIONS),
        "Arithmetic of the weights; int8 is fastest.",
        ALL,
        PRECISIONS[0],
        section="score",
    ),
    # How the picture is analyzed.
    Setting("tempo", Number(TEMPO), "Fix the tempo.", BOTH, unit="BPM", section="score"),
    Setting("tempo_range", NumberRange(TEMPO), "Where to look for the tempo.", BOTH, (60.0, 160.0), "BPM", "score"),
    Setting(
        "cut_sensitivity", Number(CUT_SENSITIVITY), "0: only hard cuts; 1: every suspicion.", BOTH, 0.5, section="score"
    ),
)
"""All settings, as `--help` lists them."""


def of_verb(verb: Verb) -> Mapping[str, Setting]:
    """Return the settings that a verb takes, by name."""
    return _BY_VERB[verb]


def of_section(section: str) -> Mapping[str, Setting]:
    """Return the settings of a section of cmt-bridge.toml, by key; aliases are keys too."""
    rows = [each for each in SETTINGS if section and each.section == section]
    return {key: each for each in rows for key in (each.name, *each.aliases)}


def setting(verb: Verb, name: str) -> Setting:
    """Return a setting of a verb. Raises `KeyError` where the verb takes none of that name."""
    return _BY_VERB[verb][name]


_BY_VERB: Final[Mapping[Verb, Mapping[str, Setting]]] = {
    verb: MappingProxyType({each.name: each for each in SETTINGS if verb in each.verbs}) for verb in ALL
}
