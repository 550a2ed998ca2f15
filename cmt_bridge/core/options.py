"""What a person may choose: frozen values, checked when they are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cmt_bridge.core.bounds import (
    BARS,
    CONTROL,
    CUT_SENSITIVITY,
    NUCLEUS,
    PITCH,
    POLYPHONY,
    RECALL,
    SEED,
    TEMPERATURE,
    TEMPO,
    listed,
)
from cmt_bridge.core.instruments import PARTS, Instrument
from cmt_bridge.core.key import KEYS, parse_key
from cmt_bridge.core.tempo import bpm_to_uspq
from cmt_bridge.core.tokens import CHOSEN, Column
from cmt_bridge.errors import UsageError

__all__ = ["KEYS", "AnalysisOptions", "ComposeOptions"]


@dataclass(frozen=True, slots=True)
class AnalysisOptions:
    """How the curves of a video become tempo, visual beats and cuts; none of it needs a new measurement.

    `tempo` in BPM fixes the tempo; else it is looked for from `tempo_low` to `tempo_high` BPM. `cut_sensitivity` goes
    from 0 (only the most abrupt cuts) to 1 (every suspicion). Raises `UsageError` for values that cannot be used.
    """

    tempo: float | None = None
    tempo_low: float = 60.0
    tempo_high: float = 160.0
    cut_sensitivity: float = 0.5

    def __post_init__(self) -> None:
        allowed = f"Tempos from {TEMPO.least:g} to {TEMPO.most:g} BPM are possible."
        for bpm in (self.tempo_low, self.tempo_high) if self.tempo is None else (self.tempo,):
            if TEMPO.fault(bpm):
                raise UsageError(f"A tempo of {bpm:g} BPM cannot be used.", hint=allowed)
            bpm_to_uspq(bpm)
        if self.tempo is None and self.tempo_high < 1.2 * self.tempo_low:
            raise UsageError(
                f"The tempo range {self.tempo_low:g} to {self.tempo_high:g} BPM is too narrow to look in.",
                hint="Let its upper end be at least 1.2 times the lower one, or fix the tempo with --tempo.",
            )
        if CUT_SENSITIVITY.fault(self.cut_sensitivity):
            raise UsageError(
                f"A cut sensitivity of {self.cut_sensitivity:g} cannot be used.", hint="Give one from 0 to 1."
            )


DEFAULT_CONTROL = 0.7  # the C that the paper settled on


@dataclass(frozen=True)
class ComposeOptions:
    """How music is drawn from the model.

    `density_control` and `beat_control` are the paper's C (Alg. 1), the chance that the picture's density of a bar,
    or a visual beat with its strength, replaces what the model would draw: one value for the piece, or one per bar,
    the last holding on. `temperature` and `nucleus` are per column, where a model's own nucleus holds for columns that
    are not named; `polyphony` is the most notes of a simu-note and `pitches` the lowest and highest MIDI pitch, per
    instrument. `style` and `key` (as `parse_key` reads it) are told to models that know them; empty leaves them open.
    `recall` is how much bars that follow the picture lean on those that return in them (core/form.py); with 0 there is
    no form. The same options, control, weights and `seed` give the same words. Raises `UsageError` for values that
    cannot be used.
    """

    seed: int = 0
    style: str = ""
    key: str = ""
    density_control: tuple[float, ...] = (DEFAULT_CONTROL,)
    beat_control: tuple[float, ...] = (DEFAULT_CONTROL,)
    recall: float = 1.0
    instruments: tuple[Instrument, ...] = tuple(Instrument)
    temperature: Mapping[Column, float] = field(default_factory=lambda: dict.fromkeys(CHOSEN, 1.0))
    nucleus: Mapping[Column, float] = field(default_factory=dict)
    polyphony: Mapping[Instrument, int] = field(default_factory=lambda: {i: p.polyphony for i, p in PARTS.items()})
    pitches: Mapping[Instrument, tuple[int, int]] = field(
        default_factory=lambda: {i: (p.low, p.high) for i, p in PARTS.items()}
    )

    def __post_init__(self) -> None:
        if self.key:
            object.__setattr__(self, "key", parse_key(self.key))
        for name, values in (("density", self.density_control), ("beat", self.beat_control)):
            if not values or any(CONTROL.fault(value) for value in values):
                raise UsageError(
                    f"A {name} control of {listed(values)} cannot be used.", hint="Give values from 0 to 1."
                )
            BARS.check(len(values))
        if not self.instruments or len(set(self.instruments)) != len(self.instruments):
            raise UsageError("Music needs at least one instrument, each named once.", hint=f"Choose from {_NAMES}.")
        SEED.check(self.seed)
        if RECALL.fault(self.recall):
            raise UsageError(f"A recall of {self.recall:g} cannot be used.", hint="Give one from 0 to 10; 1 is usual.")
        for value in self.temperature.values():
            TEMPERATURE.check(value)
        if any(NUCLEUS.fault(value) for value in self.nucleus.values()):
            raise UsageError(
                f"A nucleus must be from {NUCLEUS.least:g} to {NUCLEUS.most:g}.",
                hint="0.9 is usual; 1 leaves nothing out.",
            )
        if any(POLYPHONY.fault(value) for value in self.polyphony.values()):
            raise UsageError(f"A polyphony must be from {POLYPHONY.least} to {POLYPHONY.most} notes.")
        for instrument, (low, high) in self.pitches.items():
            if low > high or PITCH.fault(low) or PITCH.fault(high):
                raise UsageError(
                    f"The pitch range {low}-{high} of {instrument.title} cannot be used.",
                    hint="Give MIDI pitches, low-high.",
                )

    @property
    def follows(self) -> bool:
        """Whether the picture may decide anything at all."""
        return any(self.density_control) or any(self.beat_control)

    @property
    def key_class(self) -> int:
        """The number of the key, from 1; 0 where it is left open."""
        return KEYS.index(self.key) + 1 if self.key else 0

    def density_control_of(self, bar: int) -> float:
        """Return C for the density of a bar, from 0."""
        return self.density_control[min(bar, len(self.density_control) - 1)]

    def beat_control_of(self, bar: int) -> float:
        """Return C for the visual beats of a bar, from 0."""
        return self.beat_control[min(bar, len(self.beat_control) - 1)]

    def to_json(self) -> dict[str, Any]:
        """Return the form that provenance keeps; the seed stands beside it."""
        return {
            "style": self.style,
            "key": self.key,
            "density_control": list(self.density_control),
            "beat_control": list(self.beat_control),
            "recall": self.recall,
            "instruments": [i.title for i in self.instruments],
            "temperature": {c.name.lower(): v for c, v in self.temperature.items()},
            "nucleus": {c.name.lower(): v for c, v in self.nucleus.items()},
            "polyphony": {i.title: v for i, v in self.polyphony.items()},
            "pitches": {i.title: list(v) for i, v in self.pitches.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ComposeOptions:
        """Read what `to_json` gave; what is missing is as usual, what else is there is left out.

        Raises `KeyError`, `TypeError`, `ValueError` or `UsageError` where it is damaged.
        """
        usual = cls()
        titles = {i.title: i for i in Instrument}
        columns = {c.name.lower(): c for c in CHOSEN}
        said = {key: data.get(key, value) for key, value in usual.to_json().items()}
        return cls(
            style=str(said["style"]),
            key=str(said["key"]),
            density_control=tuple(map(float, said["density_control"])),
            beat_control=tuple(map(float, said["beat_control"])),
            recall=float(said["recall"]),
            instruments=tuple(titles[title] for title in said["instruments"]),
            temperature={**usual.temperature, **{columns[c]: float(v) for c, v in said["temperature"].items()}},
            nucleus={columns[c]: float(v) for c, v in said["nucleus"].items()},
            polyphony={**usual.polyphony, **{titles[i]: int(v) for i, v in said["polyphony"].items()}},
            pitches={
                **usual.pitches,
                **{titles[i]: (int(low), int(high)) for i, (low, high) in said["pitches"].items()},
            },
        )


_NAMES = ", ".join(instrument.title for instrument in Instrument)
