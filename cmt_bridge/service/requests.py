"""The schemas of requests in the control API's document, made from the tables of settings and of live controls."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Final

from cmt_bridge.live.controls import CONTROLS
from cmt_bridge.settings.kinds import BarRange, Choice, ChoiceList
from cmt_bridge.settings.tables import fields_of, schema_of

__all__ = ["with_settings"]

LEARNABLE: Final = tuple(control.name for control in CONTROLS if not isinstance(control.kind, BarRange))
LEARN: Final = "Controls for the next MIDI controllers that are moved."
LEARN_ONE: Final = "Have this moved by the next MIDI controller that is moved."


def with_settings(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document with the fields of requests as the tables of settings and of live controls have them.

    Fields that are no settings, such as `path` and `key`, stay as they are.
    """
    made = deepcopy(dict(document))
    schemas = made["components"]["schemas"]
    learn = {"learn": schema_of(ChoiceList(LEARNABLE, spelled=True), LEARN)}
    learn_one = {"learn": schema_of(Choice(LEARNABLE), LEARN_ONE)}
    controls = {control.name: schema_of(control.kind, control.help) for control in CONTROLS}
    for name, fields in (
        ("ScoreRequest", fields_of("score")),
        ("RegenerateRequest", fields_of("regenerate")),
        ("StreamRequest", {**fields_of("stream"), **learn}),
        ("StreamControls", {**controls, **learn_one}),
    ):
        own = {field: each for field, each in schemas[name]["properties"].items() if field in ("path", "again", "key")}
        first = {field: own.pop(field) for field in ("path", "again") if field in own}
        schemas[name]["properties"] = {**first, **fields, **own}
    return made
