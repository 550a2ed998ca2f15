"""Options of the command line out of the table of settings."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from cmt_bridge.settings import Setting, Settings, Verb, as_text, of_verb
from cmt_bridge.settings.kinds import Choice, FilePath, NameList, NumberRange, Switch

__all__ = ["chosen", "setting_options", "settings_of"]

if TYPE_CHECKING:
    _ParamType = click.ParamType[Any]
else:
    _ParamType = click.ParamType  # which is generic from click 8.5 on

F = TypeVar("F", bound=Callable[..., Any])

METAVARS = {"number": "FLOAT", "whole": "INTEGER", "path": "PATH"}


class SettingType(_ParamType):
    """What click reads an option of a setting with: the setting's own reader, so that its errors are the same here.

    The text itself is kept for settings of a score, whose values travel as text.
    """

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.name = setting.kind.name

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:  # noqa: ARG002
        """Return what stands for the value in the help."""
        if isinstance(self.setting.kind, Choice):
            return f"[{'|'.join(filter(None, self.setting.kind.choices))}]"
        return METAVARS.get(self.name, "TEXT")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ARG002
        """Return the value of the setting. Raises `UsageError` for what is not allowed."""
        if self.setting.section == "score" and isinstance(value, str) and not value.strip():
            return value
        read = self.setting.read(value)
        return value if self.setting.section == "score" else read

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the names that an incomplete value may become."""
        if isinstance(self.setting.kind, FilePath):
            return click.Path().shell_complete(ctx, param, incomplete)
        names = self.setting.kind.choices if isinstance(self.setting.kind, Choice) else ()
        return [CompletionItem(name) for name in names if name and name.startswith(incomplete)]


def setting_options(verb: Verb, names: Collection[str] = ()) -> Callable[[F], F]:
    """Add an option for each setting of a verb, or for those of some names.

    The arguments of the command have the settings' names, and None where nothing is chosen; `chosen` and `settings_of`
    read them.
    """

    def decorate(function: F) -> F:
        rows = [each for each in of_verb(verb).values() if each.option and (not names or each.name in names)]
        for setting in reversed(rows):
            function = _option(setting)(function)
        return function

    return decorate


def _option(setting: Setting) -> Callable[[F], F]:
    words = [*filter(None, (setting.short, setting.option)), setting.name]
    kind = setting.kind
    more: dict[str, Any] = {"type": SettingType(setting)}
    if isinstance(kind, Switch):
        more = {"is_flag": True, "flag_value": not setting.default}
    elif isinstance(kind, NameList):
        more = {"multiple": True}
    elif isinstance(kind, NumberRange):
        more = {"nargs": 2, "metavar": "FLOAT FLOAT", "callback": lambda *given: _pair(setting, given[-1])}
    return click.option(*words, help=_help(setting), default=None, **more)


def _pair(setting: Setting, given: tuple[str, str] | None) -> str | None:
    """Return two numbers as the text of a range. Raises `UsageError` where they are none."""
    if given is None:
        return None
    text = ",".join(given)
    setting.read(text)
    return text


def _help(setting: Setting) -> str:
    """Return the help of an option: what it does, its range, unit and default."""
    text = setting.help
    if isinstance(setting.kind, Switch):
        return f"Do not {text[0].lower()}{text[1:]}" if setting.default else text
    usual = as_text(setting.default) if setting.default not in (None, (), {}) else ""
    usual = usual.replace(",", " ") if isinstance(setting.kind, NumberRange) else usual
    facts = [setting.kind.span + (f" {setting.unit}" if setting.unit else "")] if setting.kind.span else []
    facts += [f"default: {usual}"] if usual else []
    return f"{text}  [{'; '.join(facts)}]" if facts else text


def chosen(verb: Verb, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a request that were chosen, by name, out of a command's arguments.

    Of a stream those are how it is played; `settings_of` returns how it is composed.
    """
    rows = [each for each in of_verb(verb).values() if verb == "regenerate" or each.section != "score"]
    found = {each.name: given[each.name] for each in rows if each.name in given}
    return {name: value for name, value in found.items() if value not in (None, (), {}, "")}


def settings_of(given: Mapping[str, Any]) -> Settings:
    """Return the settings of a score that were chosen, as text, out of a command's arguments."""
    names = of_verb("score")
    return {name: as_text(value) for name, value in given.items() if name in names and value is not None}
