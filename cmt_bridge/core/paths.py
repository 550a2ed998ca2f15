"""Paths as people give them to a function: text will do wherever a `Path` is meant."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

__all__ = ["path_fields", "takes_paths"]

F = TypeVar("F", bound=Callable[..., Any])


def takes_paths(function: F) -> F:
    """Let a function be called with text for each parameter that is annotated as a `Path`, or as several.

    >>> @takes_paths
    ... def suffix(path: Path) -> str:
    ...     return path.suffix
    >>> suffix("clip.mp4")
    '.mp4'
    """
    parameters = inspect.signature(function).parameters.values()
    order = [each.name for each in parameters]
    named = {each.name for each in parameters if "Path" in str(each.annotation)}

    @functools.wraps(function)
    def called(*arguments: Any, **options: Any) -> Any:
        given = [_path(value) if name in named else value for name, value in zip(order, arguments, strict=False)]
        given += arguments[len(order) :]
        return function(*given, **{name: _path(value) if name in named else value for name, value in options.items()})

    return called  # type: ignore[return-value]


def path_fields(value: Any, *names: str) -> None:
    """Turn text into paths in some fields of a frozen value that is being made."""
    for name in names:
        object.__setattr__(value, name, _path(getattr(value, name)))


def _path(value: Any) -> Any:
    if isinstance(value, str):
        return Path(value)
    return type(value)(map(_path, value)) if isinstance(value, list | tuple) else value
