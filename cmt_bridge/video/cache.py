"""Keep measurements by the content of the file, so that no video is decoded twice."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
import platformdirs

from cmt_bridge.core.files import complete_path, sha256_of
from cmt_bridge.core.metadata import VideoSource
from cmt_bridge.core.paths import takes_paths
from cmt_bridge.errors import OutputError, VideoError
from cmt_bridge.media.reel import check_file
from cmt_bridge.video.measurement import FORMAT_VERSION, Measurement, measure, shown_name

__all__ = ["cache_folder", "keep", "known", "load", "measured", "save"]

ENVIRONMENT: Final = "CMT_BRIDGE_CACHE"
MOST_BYTES: Final = 1 << 30  # of all measurements together; the longest unused are deleted first
CURVES: Final = ("pts", "speed", "directogram", "residual", "sights")
ARRAYS: Final = (*CURVES, "preview_pts", "previews")


def cache_folder() -> Path:
    """Return the folder of the measurements: `CMT_BRIDGE_CACHE`, or the person's cache folder."""
    chosen = os.environ.get(ENVIRONMENT)
    root = Path(chosen) if chosen else platformdirs.user_cache_path("cmt-bridge", appauthor=False)
    return root / "measurements"


@takes_paths
def measured(
    path: Path,
    progress: Callable[[float], None] | None = None,
    threads: int | None = None,
    *,
    sha256: str = "",
) -> Measurement:
    """Return the measurement of a video: from the cache where its content is known, else by measuring it.

    `sha256` is that of the file where it is known already, so that the file is not read for it again. Raises
    `VideoError` where the file cannot be used. A cache that cannot be read or written never fails the call.
    """
    check_file(path)
    try:
        sha256 = sha256 or sha256_of(path)
    except OSError as error:
        raise VideoError(f"{path} cannot be read: {error.strerror}.", hint="Copy it to another disk.") from None
    found = known(path, sha256)
    if found is not None:
        return found
    result = measure(path, sha256=sha256, progress=progress, threads=threads)
    keep(result)
    return result


@takes_paths
def known(path: Path, sha256: str) -> Measurement | None:
    """Return the measurement of a video with this content, if there is one."""
    found = load(cache_folder() / f"{sha256}.v{FORMAT_VERSION}.npz")
    if found is None or found.source.sha256 != sha256:
        return None
    return replace(found, source=replace(found.source, name=shown_name(path)))


def keep(measurement: Measurement) -> None:
    """Keep a measurement by the content of its video, where that can be."""
    entry = cache_folder() / f"{measurement.source.sha256}.v{FORMAT_VERSION}.npz"
    with suppress(OutputError, OSError):
        save(measurement, entry)
        _tidy(entry.parent)


@takes_paths
def save(measurement: Measurement, path: Path) -> None:
    """Write a measurement as `.npz`, complete or not at all. Raises `OutputError`."""
    head = {
        "source": asdict(measurement.source),
        "time_base": [measurement.time_base.numerator, measurement.time_base.denominator],
        "length": measurement.length,
        "damage": measurement.damage,
        "joints": list(measurement.joints),
    }
    arrays: dict[str, Any] = {name: getattr(measurement, name) for name in ARRAYS}
    with complete_path(path) as temporary:
        np.savez_compressed(temporary, head=np.frombuffer(json.dumps(head).encode(), np.uint8), **arrays)


@takes_paths
def load(path: Path) -> Measurement | None:
    """Read a measurement; None where there is none or it is damaged."""
    try:
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as file:
            head = json.loads(file["head"].tobytes())
            arrays = {name: file[name] for name in ARRAYS}
        source = head["source"] | {name: tuple(head["source"][name]) for name in ("frame_rate", "nominal_rate")}
        found = Measurement(
            source=VideoSource(**source),
            time_base=Fraction(*head["time_base"]),
            length=int(head["length"]),
            damage=str(head["damage"]),
            joints=tuple(head["joints"]),
            **arrays,
        )
        if len({len(arrays[name]) for name in CURVES}) != 1:
            return None
        with suppress(OSError):
            os.utime(path)  # marks it as used
        return found
    except Exception:  # whatever a damaged file brings about, it can be measured again
        return None


def _tidy(folder: Path) -> None:
    """Delete the longest unused entries while all together are too large."""
    entries = sorted(((file.stat().st_mtime, file.stat().st_size, file) for file in folder.glob("*.npz")), reverse=True)
    total = 0
    for _, size, file in entries:
        total += size
        if total > MOST_BYTES:
            file.unlink(missing_ok=True)
