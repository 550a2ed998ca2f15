"""Bridge video to a DAW: measure a clip, compose multi-track MIDI for it, deliver it in time::

    import cmt_bridge as cmt

    analysis = cmt.analyze("clip.mp4")
    score = cmt.compose(analysis, seed=1)
    score = cmt.regenerate(score, bars="4-8", tracks=["drums"])
    score.save("clip.mid")

Names are loaded when they are first used, so that the import itself takes no time.
"""

from importlib import import_module
from typing import Any

_MODULES = {
    "api": ("Analysis", "LoadedModel", "Score", "analyze", "compose", "export", "load_model", "regenerate"),
    "core.instruments": ("Instrument",),
    "core.options": ("ComposeOptions",),
    "core.tempo": ("TempoMap",),
    "errors": (
        "CheckpointError",
        "CmtBridgeError",
        "InputError",
        "MidiError",
        "MissingError",
        "OutputError",
        "ScoreError",
        "UsageError",
        "VideoError",
    ),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = sorted((*_HOMES, "__version__"))


def __getattr__(name: str) -> Any:
    if name == "__version__":
        value = _version()
    elif name in _HOMES:
        value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # takes longer than all else of the import

    try:
        return version("cmt-bridge")
    except PackageNotFoundError:  # a source tree that was never installed
        return "0.0.0"


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
