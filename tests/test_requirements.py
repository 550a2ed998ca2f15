"""What is installed: one version of everything, said once for those who develop and once with hashes."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PIN = re.compile(r"([A-Za-z0-9._-]+)==([^\s;\\]+)(.*)")


def name_of(text: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[^A-Za-z0-9._-]", text)[0]).lower()


def pins(file: str) -> dict[str, tuple[str, str]]:
    """Give version and the rest of each pinned package."""
    lines = (ROOT / file).read_text(encoding="utf-8").replace("\\\n", "").splitlines()
    found = (PIN.match(line) for line in lines)
    return {name_of(each[1]): (each[2], each[3]) for each in found if each}


def test_every_version_with_a_hash_is_the_tested_one() -> None:
    tested, locked = pins("constraints.txt"), pins("requirements.lock")
    assert {name: locked[name][0] for name in locked if name in tested} == {
        name: tested[name][0] for name in tested if name in locked
    }
    assert all("--hash=sha256:" in rest for _, rest in locked.values())


def test_every_dependency_has_a_version_and_a_hash() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {name_of(text) for text in project["dependencies"]}
    assert needed <= pins("requirements.lock").keys()
    for extra in project["optional-dependencies"].values():
        needed |= {name_of(text) for text in extra}
    assert needed <= pins("constraints.txt").keys()
