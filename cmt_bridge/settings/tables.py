"""The table of settings in the forms of others: JSON Schema for the control API, Lua for the scripts of hosts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from cmt_bridge.core.bounds import SEED, VARIATIONS
from cmt_bridge.settings.kinds import Kind, Moment, Schema, Text, WholeNumber
from cmt_bridge.settings.table import Setting, Verb, of_verb

__all__ = ["fields_of", "lua_table", "schema_of"]

ALLOWED: Final = "x-allowed"
"""The keyword under which a schema states what is allowed, as errors say it."""

VERBS: Final[tuple[Verb, ...]] = ("score", "regenerate", "stream")
LUA_SHIFT: Final = "  "


def schema_of(kind: Kind, description: str, default: Any = None) -> Schema:
    """Return the JSON Schema of a field that holds a value of a kind."""
    usual = {} if default in (None, "", (), {}) else {"default": default}
    return {**kind.schema, **usual, "description": description, ALLOWED: kind.allowed}


def fields_of(verb: Verb) -> dict[str, Schema]:
    """Return the JSON Schemas of the fields of a request that are settings, by name.

    Settings of a score are in the field `options`, each as the command line has it or as plain data.
    """
    rows = of_verb(verb).values()
    fields = {row.name: schema_of(row.kind, row.help, row.default) for row in rows if not _is_option(verb, row)}
    options = {row.name: _option_schema(row) for row in rows if _is_option(verb, row)}
    if options:
        fields["options"] = {
            "type": "object",
            "maxProperties": 64,
            "properties": options,
            "additionalProperties": False,
            "description": "Settings by name, as in [score] of cmt-bridge.toml.",
        }
    if verb == "score":
        counts = {"variations": WholeNumber(VARIATIONS), "seed": WholeNumber(SEED)}
        fields = {**{name: schema_of(kind, of_verb(verb)[name].help) for name, kind in counts.items()}, **fields}
    return fields


def _is_option(verb: Verb, row: Setting) -> bool:
    return verb != "regenerate" and row.section == "score"


def _option_schema(row: Setting) -> Schema:
    return {"$ref": "#/components/schemas/Setting", "description": row.help, ALLOWED: row.kind.allowed}


def lua_table() -> str:
    """Return a Lua module: a table of the settings of each verb, by name; how a stream is composed is as for a score.

    Each has `type`, `help`, and where it has them `low`, `high`, `longest`, `default`, `choices` and `unit`.
    """
    lines = [
        "-- The settings of each verb. Made from cmt_bridge/settings/table.py by `make tables`; do not edit it here.",
        "-- luacheck: no max line length",
        "",
        "return {",
    ]
    for verb in VERBS:
        lines.append(f"{LUA_SHIFT}{verb} = {{")
        rows = [row for row in of_verb(verb).values() if verb != "stream" or not _is_option(verb, row)]
        lines += [f"{LUA_SHIFT * 2}{_lua_row(row)}," for row in rows]
        lines.append(f"{LUA_SHIFT}}},")
    return "\n".join([*lines, "}", ""])


def _lua_row(row: Setting) -> str:
    facts: dict[str, Any] = {"type": row.kind.name}
    if row.kind.bounds is not None and not isinstance(row.kind, Moment):
        facts["low"], facts["high"] = row.kind.bounds
    if isinstance(row.kind, Text):
        facts["longest"] = row.kind.most
    facts |= {"default": row.default, "choices": row.kind.choices, "unit": row.unit}
    said = {name: value for name, value in facts.items() if value not in (None, "", (), {})}
    parts = [f"{name} = {_lua(value)}" for name, value in {**said, "help": row.help}.items()]
    return f'["{row.name}"] = {{ {", ".join(parts)} }}'


def _lua(value: Any) -> str:
    """Return plain data as Lua writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"[{_lua(name)}] = {_lua(each)}" for name, each in value.items()) + " }"
    assert isinstance(value, Sequence)
    return "{ " + ", ".join(_lua(each) for each in value) + " }"
