from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from cmt_bridge.errors import OutputError
from cmt_bridge.player.active_notes import ActiveNotes

ROOT = Path(__file__).resolve().parents[2]
PLAYER = """
import random, sys
from pathlib import Path
from cmt_bridge.player.active_notes import ActiveNotes

ledger, dice, sounding = ActiveNotes(Path(sys.argv[1])), random.Random(int(sys.argv[2])), set()
print("cleared", *ledger.hanging, flush=True)
for key in ledger.hanging:
    print("off", key, flush=True)
    ledger.discard(key)
while True:
    key = dice.randrange(2048)
    if key in sounding:
        print("off", key, flush=True)
        ledger.discard(key)
        sounding.remove(key)
    elif len(sounding) < 40:
        ledger.add(key)
        print("on", key, flush=True)
        sounding.add(key)
"""


def test_a_new_ledger_is_empty(tmp_path: Path) -> None:
    ledger = ActiveNotes(tmp_path / "deep" / "ledger")
    assert ledger.hanging == ledger.sounding() == ()
    assert (tmp_path / "deep" / "ledger").stat().st_size == 2048


def test_it_says_what_sounds(tmp_path: Path) -> None:
    ledger = ActiveNotes(tmp_path / "ledger")
    ledger.add(0)
    ledger.add(2047)
    assert ledger.sounding() == (0, 2047)
    assert 2047 in ledger
    ledger.discard(2047)
    assert 2047 not in ledger
    ledger.close()
    again = ActiveNotes(tmp_path / "ledger")
    assert again.hanging == (0,)
    again.close()
    again.close()


def test_without_a_file_it_is_kept_in_memory() -> None:
    ledger = ActiveNotes()
    ledger.add(7)
    assert ledger.sounding() == (7,)
    ledger.close()
    assert ActiveNotes().hanging == ()


@pytest.mark.parametrize("content", [b"", b"\x01", bytes(5000)])
def test_a_file_of_another_length_is_used(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ledger").write_bytes(content)
    ledger = ActiveNotes(tmp_path / "ledger")
    assert ledger.hanging == tuple(range(content.count(1)))
    ledger.add(2047)
    assert 2047 in ledger.sounding()


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="Cannot use"):
        ActiveNotes(tmp_path / "file" / "ledger")
    with pytest.raises(OutputError, match="Cannot use"):
        ActiveNotes(tmp_path)


def test_whenever_it_is_killed_every_note_that_hangs_is_known(tmp_path: Path) -> None:
    """A listener hears what a player sends, which is killed at any moment, and another after it."""
    path, sounding, dice = tmp_path / "ledger", set(), random.Random(0)
    for turn in range(12):
        player = subprocess.Popen(
            [sys.executable, "-c", PLAYER, path, str(turn)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert player.stdout is not None
        with player.stdout as heard:
            cleared = {int(key) for key in heard.readline().split()[1:]}
            assert sounding <= cleared
            assert len(cleared - sounding) <= 1, "more than the note that was about to be struck or had just ended"
            for _ in range(len(cleared)):
                sounding.discard(int(heard.readline().split()[1]))
            assert not sounding
            lines = [heard.readline() for _ in range(dice.randint(1, 400))]
            player.kill()
            lines += heard.readlines()
        player.wait()
        for line in lines:
            if line.endswith("\n"):
                how, key = line.split()
                (sounding.add if how == "on" else sounding.discard)(int(key))
    assert sounding
