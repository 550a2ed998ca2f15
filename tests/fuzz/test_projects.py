"""Damaged projects and settings end in a sentence, or in nothing at all: never in an error that nobody foresaw.

The seeds are the same each time.
"""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click import ClickException

from cmt_bridge.config import CONFIG_VARIABLE
from cmt_bridge.errors import CmtBridgeError
from tests.fuzz.folders import damage, damage_settings, deeds, fresh_copy, looks_at_settings, scored_clip

FIRST, PROJECTS, SETTINGS, DEEDS = 0, 64, 400, 5
LONGEST_SENTENCE = 1500  # letters, with the path of a file in it
PATIENCE = 600  # s, after which something hangs


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scored_clip(tmp_path_factory.mktemp("fuzz") / "films")


@pytest.fixture(autouse=True)
def _bounded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Let what hangs fail, and the settings of whoever runs this be none."""
    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path / "config"))
    if not hasattr(signal, "SIGALRM"):
        yield
        return
    before = signal.signal(signal.SIGALRM, _hangs)
    signal.alarm(PATIENCE)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def _hangs(*_: object) -> None:
    raise TimeoutError(f"it takes more than {PATIENCE} s")


def _sentence(do: Callable[[], object]) -> str | None:
    """Do something and give what was wrong with it, on purpose; None where nothing was."""
    try:
        do()
    except (CmtBridgeError, ClickException) as error:
        return str(error)
    return None


@pytest.mark.parametrize("seed", range(FIRST, FIRST + PROJECTS, 8))
def test_a_damaged_project_is_named(clip: Path, tmp_path: Path, seed: int) -> None:
    for number in range(seed, seed + 8):
        rng = random.Random(number)
        here = fresh_copy(clip, tmp_path / "work")
        what = damage(here, rng)
        for name, do in rng.sample(list(deeds(here)), DEEDS):
            try:
                said = _sentence(do)
            except Exception as error:
                raise AssertionError(f"seed {number}: {name} of a project with {what} damaged") from error
            assert said is None or 10 < len(said) < LONGEST_SENTENCE, f"seed {number}, {what}, {name}: {said}"


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SETTINGS, 100))
def test_damaged_settings_are_named(clip: Path, tmp_path: Path, seed: int) -> None:
    here = fresh_copy(clip, tmp_path / "work")
    for number in range(seed, seed + 100):
        damage_settings(here, random.Random(number))
        try:
            said = _sentence(lambda: looks_at_settings(here.parent))
        except Exception as error:
            raise AssertionError(f"seed {number} of the settings") from error
        assert said is None or 10 < len(said) < LONGEST_SENTENCE, f"seed {number}: {said}"
