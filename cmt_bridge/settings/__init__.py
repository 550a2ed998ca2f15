"""Settings: what a person may choose, in one table, and how it is read.

`table` has a row for each setting of `score`, `regenerate` and `stream`, `kinds` says what a setting may be and reads
it, and `options` turns the settings of a score into the options of the analysis and of the composition.
"""

from cmt_bridge.settings.kinds import as_text
from cmt_bridge.settings.options import (
    Settings,
    analysis_options,
    check_texts,
    compose_options,
    differing,
    value_of,
)
from cmt_bridge.settings.table import PRECISIONS, SETTINGS, Setting, Verb, of_section, of_verb, setting

__all__ = [
    "PRECISIONS",
    "SETTINGS",
    "Setting",
    "Settings",
    "Verb",
    "analysis_options",
    "as_text",
    "check_texts",
    "compose_options",
    "differing",
    "of_section",
    "of_verb",
    "setting",
    "value_of",
]
