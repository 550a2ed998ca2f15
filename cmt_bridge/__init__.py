"""Bridge video to a DAW: measure a clip, compose multi-track MIDI for it, deliver it in time."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("cmt-bridge")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0.0.0"

__all__ = ["__version__"]
