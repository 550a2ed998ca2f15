"""Where a file's music came from: an event of ours that no host shows, and how it is found again.

It is sequencer-specific (FF 7F), under the manufacturer's number for those that sell nothing. Older files have it as
a text (FF 01), which notation programs print as lyrics.
"""

from __future__ import annotations

import json
from typing import Any, Final

from cmt_bridge.core.score import Provenance
from cmt_bridge.midi.events import SEQUENCER_SPECIFIC, TEXT
from cmt_bridge.midi.file import MidiFile

__all__ = ["provenance_of", "provenance_values"]

OURS: Final = b"\x7dcmt-bridge "
MOST_BYTES = 2**16


def provenance_values(provenance: Provenance) -> bytes:
    """Return the values of the sequencer-specific event that states a provenance."""
    return OURS + provenance.text().encode(errors="replace")


def provenance_of(file: MidiFile) -> Provenance | None:
    """Return the provenance that a file states in either form, None where it states none."""
    for track in file.tracks:
        for _, kind, values in track.metas(TEXT, SEQUENCER_SPECIFIC):
            if kind == TEXT or values.startswith(OURS):
                found = _read(values if kind == TEXT else values[len(OURS) :])
                if found is not None:
                    return found
    return None


def _read(data: bytes) -> Provenance | None:
    if not data.startswith(b"{") or len(data) > MOST_BYTES:
        return None
    try:
        said: dict[str, Any] = json.loads(data)
        found = Provenance(**said)
    except (ValueError, TypeError, RecursionError):
        return None
    texts = (found.version, found.model, found.model_sha256, found.video, found.video_sha256)
    is_sound = all(isinstance(text, str) for text in texts) and isinstance(found.options, dict)
    return found if is_sound and type(found.seed) is int and "model" in said else None
