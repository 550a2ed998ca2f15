"""Settings: one table of what a person may choose for a score, and how it is read.

The command line, cmt-bridge.toml and the control API have the same settings with the same names, defaults and help
texts. A setting is text, whichever way it came, so that all three are read by the same code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from cmt_bridge.core.bounds import BARS, STRETCHES, shortened
from cmt_bridge.errors import UsageError

if TYPE_CHECKING:
    from cmt_bridge.core.instruments import Instrument
    from cmt_bridge.core.options import AnalysisOptions, ComposeOptions

__all__ = [
    "ANALYSIS",
    "COMPOSITION",
    "MOST_VARIATIONS",
    "PRECISIONS",
    "SCORE_SETTINGS",
    "Setting",
    "Settings",
    "analysis_options",
    "as_text",
    "compose_options",
    "differing",
    "instruments_of",
    "named",
    "option_of",
    "whole_number",
]

Settings = Mapping[str, str]
"""Text by name, of what was said; what is missing is as usual."""

PRECISIONS: Final = ("float32", "bfloat16", "int8")


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting: its name (as in cmt-bridge.toml), what it is when nobody says, and what it does, in a sentence."""

    name: str
    default: str
    help: str
    kind: Literal["text", "number", "whole", "range", "choice"] = "text"
    choices: tuple[str, ...] = ()


ANALYSIS: Final = (
    Setting("tempo", "", "Fix the tempo, in BPM.", "number"),
    Setting("tempo_range", "60,160", "Where to look for it, BPM.", "range"),
    Setting("cut_sensitivity", "0.5", "0: only hard cuts; 1: every suspicion.", "number"),
)

COMPOSITION: Final = (
    Setting("control", "0.7", "How closely to follow the picture, 0 to 1 (C)."),
    Setting("density_control", "", "The same for motion speed and density alone."),
    Setting("beat_control", "", "The same for visual beats and strength alone."),
    Setting(
        "recall",
        "1.0",
        "How strictly phrases return, A A B A, where the picture is followed; 0: not at all.",
        "number",
    ),
    Setting("instruments", "", "Who plays, such as drums,bass,piano; all five else."),
    Setting("style", "", "Such as rock or ballad; `cmt-bridge models show` lists what the model knows. Open else."),
    Setting("key", "", "Such as C, F# minor or Am (a small letter alone is minor too); open else."),
    Setting("temperature", "", "How adventurous: 1.1, or per column, pitch=1.1,duration=1.5."),
    Setting("nucleus", "", "Share of likely choices kept: 0.9, or per column, pitch=0.8; the model's own else."),
    Setting("polyphony", "", "Most notes at once, per instrument: piano=4,strings=3."),
    Setting("pitches", "", "Lowest and highest MIDI pitch, per instrument: bass=28-50."),
)

SCORE_SETTINGS: Final = (
    Setting("variations", "1", "Takes to compose, 1 to 64.", "whole"),
    Setting(
        "seed", "", "Seed of the first take, the others count up; the first that the clip has no take of else.", "whole"
    ),
    *COMPOSITION,
    Setting("model", "", "Name of a model, or path of its weights; see `cmt-bridge models list`."),
    Setting("precision", "float32", "Arithmetic of the weights; int8 is fastest.", "choice", PRECISIONS),
    *ANALYSIS,
)
"""All that a score is made with."""

_DEFAULTS = {setting.name: setting.default for setting in SCORE_SETTINGS}
MOST_VARIATIONS = 64
BAR_RANGE = re.compile(r"(\d{1,6})(?:-(\d{1,6}))?:([\d.]{1,20})")


def as_text(value: Any) -> str:
    """Give a value of TOML or JSON as the text that the command line would have.

    >>> as_text({"bass": [28, 50]})
    'bass=28-50'
    """
    if isinstance(value, Mapping):
        return ",".join(f"{key}={as_text(each).replace(',', '-')}" for key, each in value.items())
    if isinstance(value, list | tuple):
        return ",".join(as_text(each) for each in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _said(settings: Settings, name: str) -> str:
    return settings.get(name, _DEFAULTS[name]).strip() or _DEFAULTS[name]


def option_of(name: str) -> str:
    """Give the command line's name of a setting."""
    return f"--{name.replace('_', '-')}"


def named(option: str, name: str, known: Mapping[str, Any]) -> Any:
    """Give what a name of an option stands for. Raises `UsageError` for one that is not known."""
    try:
        return known[name.strip().lower()]
    except KeyError:
        raise UsageError(
            f"{option} does not know {shortened(name.strip())}.", hint=f"Choose from {', '.join(known)}."
        ) from None


def instruments_of(option: str, text: str) -> list[Instrument]:
    """Read `drums,bass`; nothing gives none. Raises `UsageError` for a name that is not known."""
    from cmt_bridge.core.instruments import Instrument

    names = {instrument.name.lower(): instrument for instrument in Instrument}
    return [named(option, name, names) for name in text.split(",")] if text else []


T = TypeVar("T", int, float)


def _number(settings: Settings, name: str, read: Callable[[str], T]) -> T:
    text = _said(settings, name)
    try:
        return read(text)
    except ValueError:
        raise UsageError(
            f"{option_of(name)} cannot read {shortened(text)}.", hint=f"Give a number: {_help(name)}"
        ) from None


def _help(name: str) -> str:
    return next(setting.help for setting in SCORE_SETTINGS if setting.name == name)


def whole_number(settings: Settings, name: str) -> int:
    """Read a whole number. Raises `UsageError` where it is none."""
    value = _number(settings, name, int)
    if name == "variations" and not 1 <= value <= MOST_VARIATIONS:
        raise UsageError(f"{value} takes cannot be composed at once.", hint=f"Give 1 to {MOST_VARIATIONS}.")
    return value


def analysis_options(settings: Settings) -> AnalysisOptions:
    """Give the options of the analysis. Raises `UsageError` for settings that cannot be used."""
    from cmt_bridge.core.options import AnalysisOptions

    text = _said(settings, "tempo_range")
    try:
        low, high = map(float, text.split(","))
    except ValueError:
        raise UsageError(
            f"--tempo-range cannot read {shortened(text)}.", hint="Give two tempos in BPM, such as 80 110."
        ) from None
    return AnalysisOptions(
        tempo=_number(settings, "tempo", float) if _said(settings, "tempo") else None,
        tempo_low=low,
        tempo_high=high,
        cut_sensitivity=_number(settings, "cut_sensitivity", float),
    )


def compose_options(settings: Settings) -> ComposeOptions:
    """Give the options of the composition. Raises `UsageError` for settings that cannot be used."""
    from cmt_bridge.core.instruments import Instrument
    from cmt_bridge.core.options import ComposeOptions

    default = ComposeOptions()
    columns = {column.name.lower(): column for column in default.temperature}
    names = {instrument.name.lower(): instrument for instrument in Instrument}
    said = {setting.name: _said(settings, setting.name) for setting in COMPOSITION}
    return ComposeOptions(
        seed=whole_number(settings, "seed") if _said(settings, "seed") else default.seed,
        style=said["style"].lower(),
        key=said["key"],
        recall=_number(settings, "recall", float),
        density_control=_per_bar("density_control", said["density_control"] or said["control"]),
        beat_control=_per_bar("beat_control", said["beat_control"] or said["control"]),
        instruments=tuple(sorted(instruments_of("--instruments", said["instruments"]))) or default.instruments,
        polyphony={**default.polyphony, **_per_name("polyphony", said["polyphony"], names, int)},
        pitches={**default.pitches, **_per_name("pitches", said["pitches"], names, _span)},
        temperature={**default.temperature, **_per_name("temperature", said["temperature"], columns, float)},
        nucleus=_per_name("nucleus", said["nucleus"], columns, float),
    )


def differing(options: ComposeOptions) -> Settings:
    """Return the settings that options differ by from the usual ones, as a person would say them; the seed left out.

    >>> differing(compose_options({"control": "1", "instruments": "piano,bass"}))
    {'control': '1', 'instruments': 'piano,bass'}
    """
    usual = type(options)()
    density, beat = _bars_text(options.density_control), _bars_text(options.beat_control)
    said = {"control": density} if density == beat else {"density_control": density, "beat_control": beat}
    found = {
        **{name: text for name, text in said.items() if text != _DEFAULTS["control"]},
        **({"recall": f"{options.recall:g}"} if options.recall != usual.recall else {}),
        "instruments": ",".join(
            i.name.lower() for i in options.instruments if options.instruments != usual.instruments
        ),
        "style": options.style,
        "key": options.key,
        "temperature": _names_text(options.temperature, usual.temperature),
        "nucleus": _names_text(options.nucleus, usual.nucleus),
        "polyphony": _names_text(options.polyphony, usual.polyphony),
        "pitches": _names_text(options.pitches, usual.pitches),
    }
    return {name: text for name, text in found.items() if text}


def _bars_text(values: Sequence[float]) -> str:
    """Write values per bar as `_per_bar` reads them."""
    if len(set(values)) == 1:
        return f"{values[0]:g}"
    runs: list[tuple[int, int, float]] = []
    for bar, value in enumerate(values, 1):
        if runs and runs[-1][2] == value:
            runs[-1] = (runs[-1][0], bar, value)
        else:
            runs.append((bar, bar, value))
    usual = float(_DEFAULTS["control"])
    shown = [run for run in runs if run[2] != usual]
    return ",".join(f"{a}:{value:g}" if a == b else f"{a}-{b}:{value:g}" for a, b, value in shown)


def _names_text(values: Mapping[Any, Any], usual: Mapping[Any, Any]) -> str:
    """Write values per name as `_per_name` reads them, those that are not the usual ones."""
    texts = {
        each: "-".join(map(str, value)) if isinstance(value, tuple) else f"{value:g}"
        for each, value in values.items()
        if usual.get(each) != value
    }
    if len(texts) == len(usual) > 0 and len(set(texts.values())) == 1:
        return next(iter(texts.values()))
    return ",".join(f"{each.name.lower()}={text}" for each, text in texts.items())


def _span(text: str) -> tuple[int, int]:
    low, high = text.split("-")
    return int(low), int(high)


def _per_name(name: str, text: str, known: Mapping[str, Any], read: Callable[[str], Any]) -> dict[Any, Any]:
    """Read `a=1,b=2`, or one value for all."""
    values: dict[Any, Any] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = part.rpartition("=")
        try:
            values |= (
                {named(option_of(name), key, known): read(value)}
                if equals
                else dict.fromkeys(known.values(), read(value))
            )
        except ValueError:
            raise UsageError(
                f"{option_of(name)} cannot read {shortened(part)}.", hint="See `cmt-bridge score --help`."
            ) from None
    return values


def _per_bar(name: str, text: str) -> tuple[float, ...]:
    """Read `0.7`, or `1-4:1,9:0.3` with bars from 1."""
    wrong = UsageError(
        f"{option_of(name)} cannot read {shortened(text)}.", hint="Give 0.7, or values for bars such as 1-4:1,9:0.3."
    )
    usual = float(_DEFAULTS["control"])
    if ":" not in text:
        try:
            return (float(text),)
        except ValueError:
            raise wrong from None
    parts = text.split(",")
    STRETCHES.check(len(parts))
    bars: list[float] = []
    for part in parts:
        found = BAR_RANGE.fullmatch(part.strip())
        if not found:
            raise wrong
        try:
            first, last, value = int(found[1]), int(found[2] or found[1]), float(found[3])
        except ValueError:
            raise wrong from None
        if not 1 <= first <= last < BARS.most:
            raise wrong
        bars += [usual] * (last - len(bars))
        bars[first - 1 : last] = [value] * (last - first + 1)
    return (*bars, usual)
