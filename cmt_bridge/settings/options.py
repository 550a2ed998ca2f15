"""Settings of a score as text, and the options that they stand for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cmt_bridge.settings.kinds import as_text
from cmt_bridge.settings.table import COLUMNS, INSTRUMENTS, USUAL_CONTROL, of_verb, setting

if TYPE_CHECKING:
    from cmt_bridge.core.options import AnalysisOptions, ComposeOptions

__all__ = [
    "Settings",
    "analysis_options",
    "check_texts",
    "compose_options",
    "differing",
    "value_of",
]

Settings = Mapping[str, str]
"""Text by name, of what a person chose for a score; what is missing is as usual."""


def value_of(settings: Settings, name: str) -> Any:
    """Return the value of a setting of a score, its default where nothing is chosen.

    Raises `UsageError` for a value that is not allowed.

    >>> value_of({"variations": "5"}, "variations")
    5
    """
    row = setting("score", name)
    text = settings.get(name, "").strip()
    return row.read(text) if text else row.default


def check_texts(settings: Mapping[str, Any]) -> Settings:
    """Return settings of a score, out of TOML or JSON, as text. Raises `UsageError` for a value that is not allowed.

    Names that are no setting's are left out.
    """
    texts = {name: as_text(value) for name, value in settings.items() if name in of_verb("score")}
    for name in texts:
        value_of(texts, name)
    return texts


def analysis_options(settings: Settings) -> AnalysisOptions:
    """Return the options of the analysis. Raises `UsageError` for settings that cannot be used."""
    from cmt_bridge.core.options import AnalysisOptions

    low, high = value_of(settings, "tempo_range")
    return AnalysisOptions(
        tempo=value_of(settings, "tempo"),
        tempo_low=low,
        tempo_high=high,
        cut_sensitivity=value_of(settings, "cut_sensitivity"),
    )


def compose_options(settings: Settings) -> ComposeOptions:
    """Return the options of the composition. Raises `UsageError` for settings that cannot be used."""
    from cmt_bridge.core.instruments import Instrument
    from cmt_bridge.core.options import ComposeOptions
    from cmt_bridge.core.tokens import CHOSEN

    usual = ComposeOptions()
    columns = dict(zip(COLUMNS, CHOSEN, strict=True))
    players = dict(zip(INSTRUMENTS, Instrument, strict=True))
    control, seed = value_of(settings, "control"), value_of(settings, "seed")
    chosen = [players[name] for name in value_of(settings, "instruments") or ()]
    return ComposeOptions(
        seed=usual.seed if seed is None else seed,
        style=(value_of(settings, "style") or usual.style).lower(),
        key=value_of(settings, "key") or usual.key,
        recall=value_of(settings, "recall"),
        density_control=value_of(settings, "density_control") or control,
        beat_control=value_of(settings, "beat_control") or control,
        instruments=tuple(sorted(chosen)) or usual.instruments,
        polyphony={**usual.polyphony, **_by_key(value_of(settings, "polyphony"), players)},
        pitches={**usual.pitches, **_by_key(value_of(settings, "pitches"), players)},
        temperature={**usual.temperature, **_by_key(value_of(settings, "temperature"), columns)},
        nucleus=_by_key(value_of(settings, "nucleus"), columns),
    )


def _by_key(values: Mapping[str, Any], keys: Mapping[str, Any]) -> dict[Any, Any]:
    """Return values by what their names stand for; one under the empty name is for all. Later ones replace earlier."""
    found: dict[Any, Any] = {}
    for name, value in values.items():
        found |= {keys[name]: value} if name else dict.fromkeys(keys.values(), value)
    return found


def differing(options: ComposeOptions) -> Settings:
    """Return the settings that options differ by from the usual ones, as a person would say them; the seed left out.

    >>> differing(compose_options({"control": "1", "instruments": "piano,bass"}))
    {'control': '1', 'instruments': 'piano,bass'}
    """
    usual = type(options)()
    density, beat = _bars_text(options.density_control), _bars_text(options.beat_control)
    said = {"control": density} if density == beat else {"density_control": density, "beat_control": beat}
    found = {
        **{name: text for name, text in said.items() if text != f"{USUAL_CONTROL:g}"},
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
    """Return values per bar as text, as `NumberPerBar` reads it."""
    if len(set(values)) == 1:
        return f"{values[0]:g}"
    runs: list[tuple[int, int, float]] = []
    for bar, value in enumerate(values, 1):
        if runs and runs[-1][2] == value:
            runs[-1] = (runs[-1][0], bar, value)
        else:
            runs.append((bar, bar, value))
    shown = [run for run in runs if run[2] != USUAL_CONTROL]
    return ",".join(f"{a}:{value:g}" if a == b else f"{a}-{b}:{value:g}" for a, b, value in shown)


def _names_text(values: Mapping[Any, Any], usual: Mapping[Any, Any]) -> str:
    """Return those values by name that are not the usual ones as text, as `NumberByName` reads it."""
    texts = {
        each: "-".join(map(str, value)) if isinstance(value, tuple) else f"{value:g}"
        for each, value in values.items()
        if usual.get(each) != value
    }
    if len(texts) == len(usual) > 0 and len(set(texts.values())) == 1:
        return next(iter(texts.values()))
    return ",".join(f"{each.name.lower()}={text}" for each, text in texts.items())
