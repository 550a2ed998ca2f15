"""A session in a REAPER that is made up, the person in front of it, and a daemon that is made up too."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import rpp

STUB = Path(__file__).with_name("stub.lua")
API = Path(__file__).with_name("api.json")
PATIENCE = 300
YES, NO = 6, 7
START = 12.5  # s of the project at which the video begins
INFINITE = float("inf")

Note = tuple[float, float, int, int, int]


def tool(name: str, package: str) -> str:
    """Give the path of a program that has to be there."""
    found = shutil.which(name)
    assert found, f"{name} is not installed, which reads the scripts for REAPER: apt install {package}"
    return found


def opened(path: Path) -> dict[str, Any]:
    """Give a project as REAPER would have it after it opened a file; the video is selected."""
    root = rpp.loads(path.read_text())
    found: dict[str, Any] = {"tracks": [], "tempos": [], "markers": [], "ext": {}, "selection": [0, 0]}
    regions: dict[str, dict[str, Any]] = {}
    for each in root:
        match each:
            case ["MARKER", number, time, name, "0", colour, _, _, guid, *_]:
                mark = {"region": False, "from": float(time), "to": 0, "name": name, "guid": guid}
                found["markers"].append(mark | {"number": int(number), "colour": int(colour)})
            case ["MARKER", number, time, name, "1", colour, _, _, guid, *_]:
                regions[number] = {"region": True, "from": float(time), "to": 0, "name": name, "guid": guid}
                found["markers"].append(regions[number] | {"number": int(number), "colour": int(colour)})
                regions[number] = found["markers"][-1]
            case ["MARKER", number, time, *_]:
                regions[number]["to"] = float(time)
    for block in (each for each in root if isinstance(each, rpp.Element)):
        if block.tag == "TEMPOENVEX":
            points = [each[1:] for each in block if each[0] == "PT"]
            found["tempos"] = [[float(time), float(bpm), 4, 4] for time, bpm, *_ in points]
        elif block.tag == "TRACK":
            items = [_item(each, path.parent) for each in block if isinstance(each, rpp.Element) and each.tag == "ITEM"]
            found["tracks"].append({"guid": block.attrib[0], "name": _word(block, "NAME"), "items": items})
        elif block.tag == "EXTSTATE":
            # In a file REAPER has these names in capitals, and knows them however they are written.
            found["ext"] = {each.tag.lower(): {name.lower(): value for name, value in each} for each in block}
    return found


def _word(block: Any, name: str) -> str:
    return next(each[1] for each in block if isinstance(each, list) and each[0] == name)


def _item(block: Any, folder: Path) -> dict[str, Any]:
    files = [line for each in block if isinstance(each, rpp.Element) for line in each if line[0] == "FILE"]
    for line in files:
        line[1] = str(folder / line[1])
    place = {name.lower(): float(_word(block, name)) for name in ("POSITION", "LENGTH")}
    state = {"mute": int(_word(block, "MUTE")), "selected": bool(files)}
    return {**place, **state, "takes": [], "active": 1, "chunk": rpp.dumps(block)}


class Reaper:
    """A project with a video that is trimmed at its beginning, and a marker of the person's own."""

    def __init__(
        self, folder: Path, scripts: Path, environment: Mapping[str, str], video: Path, lua: str = "lua5.4"
    ) -> None:
        self._folder, self._scripts, self._environment, self._lua = folder, scripts, dict(environment), lua
        item = {
            "position": START + 1.0,
            "length": 5.0,
            "selected": True,
            "active": 1,
            "takes": [
                {"name": "video", "source": "VIDEO", "file": str(video), "offset": 1.0, "events": [], "division": 1}
            ],
        }
        track = {"guid": "{VIDEO}", "name": "Video", "items": [item]}
        self.project: dict[str, Any] = {
            "tracks": [track],
            "tempos": [],
            "markers": [{"region": False, "from": 1.0, "to": 0, "name": "mine", "number": 1, "colour": 0}],
            "ext": {},
            "selection": [0, 0],
        }
        self.kept: dict[str, str] = {}

    @property
    def film(self) -> dict[str, Any]:
        """The item of the video."""
        found: dict[str, Any] = self.project["tracks"][0]["items"][0]
        return found

    def run(self, name: str, answers: Sequence[Any] = (), **more: Any) -> dict[str, Any]:
        """Run an action; give what was shown, which steps can be undone, and what a made-up daemon was asked."""
        lua = tool(self._lua, self._lua)
        state, result = self._folder / "state.json", self._folder / "result.json"
        state.write_text(json.dumps({"project": self.project, "answers": list(answers), "kept": self.kept, **more}))
        result.unlink(missing_ok=True)
        script = self._scripts / f"cmt-bridge {name}.lua"
        done = subprocess.run(
            [lua, str(STUB), str(self._scripts), str(script), str(state), str(result)],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(result.read_text())
        self.project, self.kept = found["project"], found["kept"] or {}
        for list_ in ("shown", "steps", "requests", "drawn", "executed"):
            found[list_] = found[list_] or []  # an empty table of Lua is both
        for track in self.project["tracks"]:
            track["items"] = track["items"] or []
        return found

    @property
    def parts(self) -> dict[str, dict[str, Any]]:
        """Our items, by the name of their track."""
        return {track["name"]: track["items"][0] for track in self.project["tracks"][1:]}

    def marks(self, *, region: bool = False) -> list[tuple[float, str]]:
        """Give the markers or regions: seconds and name."""
        found = [m for m in self.project["markers"] if m["region"] == region]
        return sorted((round(mark["from"], 6), mark["name"]) for mark in found)

    def seconds(self, item: Mapping[str, Any], take: Mapping[str, Any]) -> list[Note]:
        """Give the notes of a take: seconds of the project, channel, pitch, velocity."""
        points = sorted([time, bpm] for time, bpm, *_ in self.project["tempos"] or []) or [[0.0, 120.0]]
        if points[0][0] > 0:
            points.insert(0, [0.0, 120.0])
        stretches = list(pairwise([*points, [INFINITE, 0]]))

        def quarters(time: float) -> float:
            inside = ((min(time, end) - start) * bpm / 60 for (start, bpm), (end, _) in stretches if time > start)
            return sum(inside) if time > 0 else time * points[0][1] / 60

        def time_of(target: float) -> float:
            passed = 0.0
            for (start, bpm), (end, _) in stretches:
                length = (end - start) * bpm / 60
                if target < passed + length:
                    return float(start + (target - passed) * 60 / bpm)
                passed += length
            raise AssertionError

        zero = quarters(item["position"] - take.get("offset", 0))
        sounding: dict[tuple[int, int], list[tuple[float, int]]] = {}
        found = []
        for tick, message, *_ in take["events"][:-1]:
            data = bytes.fromhex(message)
            if data[0] & 0xE0 != 0x80:
                continue
            time = time_of(zero + tick / take["division"])
            key = data[0] & 0xF, data[1]
            if data[0] & 0xF0 == 0x90 and data[2]:
                sounding.setdefault(key, []).append((time, data[2]))
            else:
                begun, loud = sounding[key].pop(0)
                found.append((begun, time, *key, loud))
        assert not any(sounding.values()), "a note hangs"
        return sorted(found)

    def heard(self, part: str) -> list[Note]:
        """Give the notes of what an item of ours plays."""
        item = self.parts[part]
        return self.seconds(item, item["takes"][item["active"] - 1])
