from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.media.fuzz import KINDS

FILMS = 64


def test_damaged_films_are_measured_or_refused(tmp_path: Path) -> None:
    """In a process of its own, whose memory is bounded and whose death would be seen."""
    asked = [sys.executable, "-m", "tests.media.fuzz", str(tmp_path), "1", str(FILMS)]
    done = subprocess.run(asked, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr[-2000:]
    words = done.stdout.split()
    assert words[1::2] == ["measured,", "refused"]
    assert min(int(words[0]), int(words[2])) > FILMS // 8
    assert {line.split()[2] for line in done.stderr.splitlines() if line.endswith("ed")} == KINDS.keys()
