"""Whatever lies in a spool: each file that could be a request is answered, nothing else is touched, and all goes on.

`FUZZ_ROUNDS=5000 pytest tests/fuzz/test_spool.py` goes on for longer.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import shutil
import string
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cmt_bridge.service import spool
from cmt_bridge.service.openapi import operations
from cmt_bridge.service.spool import NAME, Spool
from tests.service.desk import MemoryDesk

ROUNDS = int(os.environ.get("FUZZ_ROUNDS", "40"))
PLACES = (*("requests",) * 5, "taken", "answers")
MOST = 24  # entries of a round
SECRET = "the secret of another file"
FIELDS = (
    "path",
    "seed",
    "options",
    "bars",
    "tracks",
    "take",
    "a",
    "b",
    "id",
    "key",
    "limit",
    "state",
    "project",
    "from",
)
GOOD: dict[str, Any] = {"path": "clip.mp4", "id": 1, "take": 1, "a": 1, "b": 2, "project": "reaper"}
TEXTS = ("clip.mp4", "", "..", "/etc/passwd", "sub/../clip.mp4", "\ud800", "\0", "é🎬", "x" * 5000, "-1", "4-8", "~")
VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    3,
    2**70,
    1e308,
    float("nan"),
    float("inf"),
    [],
    {},
    [[1]],
    {"a": {"b": 1}},
)


def _request(dice: random.Random) -> bytes:
    """Give what may be asked for, more or less."""
    name = dice.choice([*operations(), *operations(), "nothing", "", "\udcff", 3, None, ["status"]])
    given = {dice.choice(FIELDS): dice.choice((*TEXTS, *VALUES)) for _ in range(dice.randrange(4))}
    known = operations().get(str(name))
    if known is not None and dice.random() < 0.5:  # what is right
        given = {field: GOOD[field] for field in known.schema["required"]}
    asked: Any = {"do": name, "with": given}
    match dice.randrange(8):
        case 0:
            asked = dice.choice((*VALUES, [asked], {"do": name}, {"with": given}, {"do": name, "with": []}))
        case 1:
            text = json.dumps(asked)
            return (text[:-1] + ", " + text[1:]).encode()  # every field twice
        case 2:
            depth = dice.choice((10, 1000, 60_000))
            return dice.choice((b"[", b'{"do":')) * depth
        case 3:
            return json.dumps(asked).encode() + b" " * dice.choice((1, 1 << 16, 1 << 20))
    data = json.dumps(asked).encode(dice.choice(("utf-8",) * 6 + ("utf-16", "utf-8-sig")))
    if dice.random() < 0.3:
        damaged = bytearray(data)
        for _ in range(dice.randrange(1, 4)):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        data = bytes(damaged)
    return data[: dice.randrange(len(data) + 1)] if dice.random() < 0.15 else data


def _name(dice: random.Random) -> bytes:
    plain = "".join(dice.choices(string.ascii_letters + string.digits + "_-", k=dice.randrange(1, 20)))
    return dice.choice(
        [plain.encode() + b".json"] * 12
        + [
            plain.encode(),
            plain.encode() + b".json.part",
            b"." + plain.encode() + b".json",
            plain.encode() + b"\n.json",
            b"\xff\xfe.json",
            b"a" * 250 + b".json",
            b"a" * 65 + b".json",
            "é.json".encode(),
            b"a b.json",
        ]
    )


def _put(dice: random.Random, folder: Path, kinds: Counter[str], places: tuple[str, ...] = PLACES) -> None:
    path = folder / dice.choice(places) / os.fsdecode(_name(dice))
    if os.path.lexists(path):
        return
    kind = dice.choice(("file",) * 8 + ("fifo", "folder", "full folder", "link", "dangling", "loop", "hard link"))
    kinds[kind] += 1
    match kind:
        case "file":
            (folder / "part").write_bytes(_request(dice))
            (folder / "part").rename(path)
        case "fifo":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "full folder":
            (path / "sub").mkdir(parents=True)
        case "link":
            path.symlink_to(folder.parent / "secret")
        case "dangling":
            path.symlink_to("nowhere")
        case "loop":
            path.symlink_to(path.name)
        case "hard link":
            path.hardlink_to(folder.parent / "secret")


def _state(folder: Path) -> dict[str, str]:
    """Give everything in a spool with its kind."""
    found = {}
    for place in ("requests", "taken", "answers"):
        for entry in os.scandir(folder / place):
            plain = entry.is_file(follow_symlinks=False) and NAME.fullmatch(entry.name)
            found[f"{place}/{entry.name}"] = "plain" if plain else "odd"
    return found


async def _round(seed: int, folder: Path, kinds: Counter[str]) -> Counter[str]:
    dice = random.Random(seed)
    videos = folder.parent / "videos"
    videos.mkdir()
    (folder.parent / "secret").write_text(SECRET)
    for name in ("requests", "answers", "taken"):
        (folder / name).mkdir(parents=True)
    for _ in range(dice.randrange(MOST)):
        _put(dice, folder, kinds)
    before = _state(folder)
    desk = MemoryDesk(videos)
    task = asyncio.create_task(Spool(desk, folder).run())
    for _ in range(dice.randrange(6)):  # and while it runs
        await asyncio.sleep(0)
        _put(dice, folder, kinds, PLACES[:1])
    try:
        async with asyncio.timeout(60):
            while not task.done() and any(
                kind == "plain" and not name.startswith("answers/") for name, kind in _state(folder).items()
            ):
                await asyncio.sleep(0.005)
    finally:
        if task.done():
            task.result()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    after = _state(folder)
    for name, kind in before.items():
        assert kind == "plain" or after.get(name) == "odd", f"seed {seed}: {name} is gone"
    said: Counter[str] = Counter()
    for path in (folder / "answers").iterdir():
        if after[f"answers/{path.name}"] == "plain" and f"answers/{path.name}" not in before:
            text = path.read_text()
            with suppress(ValueError):
                answer = json.loads(text)
                if isinstance(answer, dict) and "ok" in answer:
                    said["ok" if answer["ok"] else "refused"] += 1
                    assert answer.get("code") != 1 or "was ended while" in answer["error"], f"seed {seed}: {answer}"
                    assert answer["ok"] or (answer["error"] and answer["hint"])
            assert "secret of" not in text or "hard link" in kinds
    assert (folder.parent / "secret").read_text() == SECRET
    assert not any(videos.iterdir())
    return said


def test_whatever_lies_in_a_spool_is_answered_or_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(spool, "EVERY", 0.001)
    monkeypatch.setattr(spool, "REST", 0)
    kinds: Counter[str] = Counter()
    said: Counter[str] = Counter()
    for seed in range(ROUNDS):
        folder = tmp_path / str(seed) / "spool"
        folder.mkdir(parents=True)
        caplog.clear()
        said += asyncio.run(_round(seed, folder, kinds))
        lines = [record.getMessage() for record in caplog.records]
        assert len(lines) == len(set(lines)) <= MOST + 6, f"seed {seed}: {lines}"
        assert not any("failed" in line for line in lines), f"seed {seed}: {lines}"
        shutil.rmtree(tmp_path / str(seed))
    logging.getLogger(__name__).info("%d rounds, put %s, answered %s", ROUNDS, dict(kinds), dict(said))
    assert min(said["ok"], said["refused"]) >= ROUNDS // 4
