"""The document of the control API, openapi.json, and what follows from it: routes, and checks of what is asked for.

Document and server cannot disagree, because the server has no other source: which methods a path has, which fields a
request may have and of what kind, and which status a success gets, is read here. Of JSON Schema it knows what the
document uses.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from cmt_bridge.errors import UsageError
from cmt_bridge.settings.kinds import not_allowed

__all__ = ["Operation", "check", "default", "document", "find", "from_text", "is_unicode", "operations", "tidy"]

KINDS: Final = {
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "array": "a list",
    "object": "an object",
}
METHODS: Final = ("get", "post")
EXACT = 2**53  # from here on a JSON number with a fraction says no exact whole number
WHOLE = re.compile(r"-?[0-9]{1,16}")


@dataclass(frozen=True)
class Operation:
    """What may be asked for: its name, method and path, the status of a success, and the schema of all that it takes.

    `query` and `body` name the fields that come in those places; the others are in the path. `repeatable` says that a
    request may be carried out twice with the effect of once. `osc` names the arguments of the OSC message in their
    order, None where there is no such message; `osc_pairs` says that names and values of more fields may follow them.
    """

    name: str
    method: str
    path: str
    status: int
    schema: Mapping[str, Any]
    query: frozenset[str]
    body: frozenset[str] | None
    repeatable: bool
    osc: tuple[str, ...] | None
    osc_pairs: bool

    @property
    def makes_a_job(self) -> bool:
        """Whether a request makes a job, and may have a `key` of its own, under which it is made once."""
        return "key" in self.schema["properties"]


@cache
def document() -> Mapping[str, Any]:
    """Return the document."""
    data: Mapping[str, Any] = json.loads(Path(__file__).with_name("openapi.json").read_bytes())
    return data


@cache
def operations() -> Mapping[str, Operation]:
    """Return all operations by name."""
    return {
        operation["operationId"]: _operation(path, method, operation)
        for path, item in document()["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    }


def _operation(path: str, method: str, data: Mapping[str, Any]) -> Operation:
    parameters = data.get("parameters", [])
    properties = {each["name"]: each["schema"] for each in parameters}
    required = [each["name"] for each in parameters if each["required"]]
    body: frozenset[str] | None = None
    alternatives: Sequence[Mapping[str, Any]] = ()
    if "requestBody" in data:
        schema = _resolved(data["requestBody"]["content"]["application/json"]["schema"])
        body = frozenset(schema["properties"])
        properties |= schema["properties"]
        required += schema["required"]
        alternatives = schema.get("anyOf", alternatives)
    return Operation(
        name=data["operationId"],
        method=method.upper(),
        path=path,
        status=next(int(status) for status in data["responses"] if status < "4"),
        schema={
            "type": "object",
            "properties": properties,
            "required": required,
            "anyOf": alternatives,
            "additionalProperties": False,
        },
        query=frozenset(each["name"] for each in parameters if each["in"] == "query"),
        body=body,
        repeatable=method == "get" or bool(data.get("x-repeatable")),
        osc=tuple(data["x-osc"]["arguments"]) if "x-osc" in data else None,
        osc_pairs=bool(data.get("x-osc", {}).get("pairs")),
    )


def find(path: str) -> tuple[Mapping[str, Operation], Mapping[str, str]]:
    """Return the operations of a raw path by method, and the texts in it by name; no operations where there is none.

    Raises `UsageError` for a path that is no UTF-8.
    """
    parts = path.split("/")
    for template in document()["paths"]:
        names = template.split("/")
        if len(names) == len(parts) and all(a == b or a.startswith("{") for a, b in zip(names, parts, strict=True)):
            said = {name[1:-1]: _decoded(part) for name, part in zip(names, parts, strict=True) if name != part}
            return {each.method: each for each in operations().values() if each.path == template}, said
    return {}, {}


def _decoded(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise UsageError("The path is not valid UTF-8.", hint="Quote it.") from None


def from_text(operation: Operation, field: str, text: str) -> str | int:
    """Return what a text in a path or a query stands for: a number where the field is one, else itself."""
    schema = operation.schema["properties"].get(field, {})
    is_number = _resolved(schema).get("type") == "integer" and WHOLE.fullmatch(text)
    return int(text) if is_number else text


def default(operation: str, field: str) -> Any:
    """Return what a field of an operation is where a request does not say it."""
    return operations()[operation].schema["properties"][field]["default"]


def is_unicode(text: str) -> bool:
    """Return whether a text is of whole characters: Python's may have halves of them, lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def tidy(number: float) -> float:
    """Return a number that has no fraction as whole: to JSON Schema, 4.0 is an integer."""
    return int(number) if number.is_integer() and abs(number) < EXACT else number


def _resolved(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in schema:
        return schema
    name = schema["$ref"].rpartition("/")[2]
    return {**document()["components"]["schemas"][name], **{key: schema[key] for key in schema if key != "$ref"}}


def _is(value: Any, kind: str) -> bool:
    match value:
        case bool():
            return kind == "boolean"
        case int():
            return kind in ("integer", "number")
        case float():
            return kind == "number"
        case str():
            return kind == "string"
        case Mapping():
            return kind == "object"
        case _:
            return kind == "array" and isinstance(value, Sequence)


def _wrong(name: str, wanted: str) -> UsageError:
    return UsageError(f"{name} must be {wanted}.", hint="GET /v1/openapi.json says what there is.")


def check(value: Any, schema: Mapping[str, Any], name: str) -> None:
    """Raise `UsageError` where a JSON value is not as a schema of the document says; `name` is what it is called.

    What is wrong with a setting is said in the sentence that it has everywhere.
    """
    schema = _resolved(schema)
    if "x-allowed" not in schema:
        _check(value, schema, name)
        return
    try:
        _check(value, schema, name)
    except UsageError:
        raise not_allowed(name, schema["x-allowed"], value, schema["description"]) from None


def _check(value: Any, schema: Mapping[str, Any], name: str) -> None:
    kinds = schema.get("type", ())
    kinds = (kinds,) if isinstance(kinds, str) else kinds
    if kinds and not any(_is(value, kind) for kind in kinds):
        raise _wrong(name, " or ".join(KINDS[kind] for kind in kinds))
    if "enum" in schema and value not in schema["enum"]:
        raise _wrong(name, f"one of {', '.join(map(str, schema['enum']))}")
    match value:
        case bool():
            pass
        case str():
            _check_text(value, schema, name)
        case int() | float():
            if not schema.get("minimum", value) <= value <= schema.get("maximum", value):
                raise _wrong(name, f"{schema.get('minimum', 'any')} to {schema.get('maximum', 'any')}")
        case Mapping():
            _check_object(value, schema, name)
        case _:
            if not schema.get("minItems", 0) <= len(value) <= schema["maxItems"]:
                raise _wrong(name, f"a list of {schema.get('minItems', 0)} to {schema['maxItems']}")
            for number, each in enumerate(value, 1):
                check(each, schema["items"], f"{name}, item {number},")


def _check_text(value: str, schema: Mapping[str, Any], name: str) -> None:
    if not is_unicode(value):
        raise _wrong(name, "valid Unicode")
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
        raise _wrong(name, f"{schema.get('minLength', 0)} to {schema.get('maxLength', 'any')} characters long")
    if "pattern" in schema and not re.fullmatch(schema["pattern"], value, re.DOTALL):
        raise _wrong(name, f"of the form {schema['pattern']}")


def _check_object(value: Mapping[str, Any], schema: Mapping[str, Any], name: str) -> None:
    known = schema.get("properties", {})
    others = schema["additionalProperties"]
    for field in schema.get("required", ()):
        if field not in value:
            raise UsageError(f"{name} lacks {field!r}.", hint="GET /v1/openapi.json says what there is.")
    alternatives = [each["required"] for each in schema.get("anyOf", ())]
    if alternatives and not any(value.keys() >= set(fields) for fields in alternatives):
        lacking = " or ".join(repr(field) for fields in alternatives for field in fields)
        raise UsageError(f"{name} lacks {lacking}.", hint="GET /v1/openapi.json says what there is.")
    if len(value) > schema.get("maxProperties", len(value)):
        raise _wrong(name, f"of at most {schema['maxProperties']} fields")
    for field, each in value.items():
        if not is_unicode(field):
            raise _wrong(f"A name in {name}", "valid Unicode")
        if field not in known and others is False:
            raise UsageError(
                f"{name} has no field {field[:64]!r}.",
                hint=f"Known are {', '.join(known)}." if known else "Leave it out.",
            )
        check(each, known.get(field, others), field[:64])
