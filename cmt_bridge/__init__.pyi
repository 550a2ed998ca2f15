from cmt_bridge.api import Analysis, LoadedModel, Score, analyze, compose, export, load_model, regenerate
from cmt_bridge.core.instruments import Instrument
from cmt_bridge.core.options import ComposeOptions
from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.errors import (
    CheckpointError,
    CmtBridgeError,
    InputError,
    MidiError,
    MissingError,
    OutputError,
    ScoreError,
    UsageError,
    VideoError,
)

__all__ = [
    "Analysis",
    "CheckpointError",
    "CmtBridgeError",
    "ComposeOptions",
    "InputError",
    "Instrument",
    "LoadedModel",
    "MidiError",
    "MissingError",
    "OutputError",
    "Score",
    "ScoreError",
    "TempoMap",
    "UsageError",
    "VideoError",
    "__version__",
    "analyze",
    "compose",
    "export",
    "load_model",
    "regenerate",
]

__version__: str
