"""A watched folder, by the installed program: every clip is scored once, whatever happens meanwhile."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from cmt_bridge.service.client import Client
from cmt_bridge.service.instance import state_folder
from tests import clips
from tests.e2e.conftest import PATIENCE, PROGRAM, Run
from tests.e2e.watcher import Watcher, is_alive, until

pytestmark = pytest.mark.slow

SECOND_FRAMES = 25
MEMORY = 80 << 10  # KiB
HEAVY = ("numpy", "torch", "cv2", "libav")


@pytest.fixture(scope="module")
def drawer(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Give clips of different contents, each made once."""
    folder = tmp_path_factory.mktemp("drawer")

    def clip(number: int, suffix: str = ".mp4", seconds: float = 1.2) -> Path:
        path = folder / f"{number} {seconds:g}{suffix}"
        return path if path.exists() else clips.write_clip(path, clips.panning(seconds, 25, speed=60, seed=number))

    return clip


@pytest.fixture
def videos(folder: Path, model: Path) -> Path:
    """Give a folder to watch, which is scored with a tiny model."""
    path = folder / "my videos"
    path.mkdir()
    configure(path, model)
    return path


@pytest.fixture
def watcher(
    videos: Path, environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Watcher]:
    """Give the daemon of `videos`, to be started."""
    monkeypatch.setenv("CMT_BRIDGE_STATE", environment["CMT_BRIDGE_STATE"])
    own = environment | {"CMT_BRIDGE_CACHE": str(tmp_path / "cache")}
    watcher = Watcher(videos, own, tmp_path / "said.log")
    yield watcher
    watcher.end()


def configure(folder: Path, model: Path, score: str = "", more: str = "") -> None:
    (folder / "cmt-bridge.toml").write_text(
        f"[score]\nmodel = {json.dumps(str(model))}\n{score}\n[watch]\nsettle = 0.3\n{more}\n"
    )


def takes(folder: Path) -> dict[str, list[str]]:
    """Give the takes in each project of a folder and below; every one of them is complete."""
    found = {}
    for project in sorted(folder.rglob("*.cmt")):
        json.loads((project / "project.json").read_text())
        names = sorted(path.name for path in project.iterdir() if path.name.startswith("take "))
        for name in names:
            held = {path.suffix if path.suffix == ".mid" else path.name for path in (project / name).iterdir()}
            assert held == {".mid", "score.json", "metadata.json", "take.json"}
        found[project.relative_to(folder).as_posix()] = names
    return found


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob(".*") if path.name != ".lock"]


def digests(folder: Path, suffixes: tuple[str, ...] = (".mp4", ".mov", ".toml", ".txt")) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.suffix in suffixes
    }


def test_every_clip_that_comes_is_scored_once(watcher: Watcher, videos: Path, drawer: Callable[..., Path]) -> None:
    watcher.start()
    deep = videos / "Ünïcode" / "日本 語" / "a" / "b" / "c"
    deep.mkdir(parents=True)
    data = drawer(1).read_bytes()
    with (videos / "growing.mp4").open("wb") as growing:
        growing.write(data[: len(data) // 2])
        growing.flush()
        shutil.copy(drawer(2), videos / "partial.mp4.part")
        shutil.copy(drawer(3), deep / "naïve clip’s – 1.mp4")
        shutil.copy(drawer(4), videos / "same.mp4")
        shutil.copy(drawer(5, ".mov"), videos / "same.mov")
        (videos / "notes.txt").write_text("mine")
        watcher.settle(3)
        assert not (videos / "growing.cmt").exists()
        growing.write(data[len(data) // 2 :])
    (videos / "partial.mp4.part").rename(videos / "partial.mp4")
    watcher.settle(5)
    once = {
        "Ünïcode/日本 語/a/b/c/naïve clip’s – 1.cmt": ["take 1"],
        "growing.cmt": ["take 1"],
        "partial.cmt": ["take 1"],
    }
    found = takes(videos)
    same = found.keys() - once.keys()
    assert same in ({"same.cmt", "same.mp4.cmt"}, {"same.cmt", "same.mov.cmt"})
    assert found == once | {name: ["take 1"] for name in same}
    assert (deep / "naïve clip’s – 1.mid").read_bytes()[:4] == b"MThd"
    assert {path.name for path in videos.glob("*.mid")} == {
        f"{Path(name).stem}.mid" for name in found if "/" not in name
    }

    # What was scored is not scored again: renamed, moved, copied, after a restart, or when the daemon forgot all.
    (videos / "growing.mp4").rename(videos / "renamed.mp4")
    (videos / "elsewhere").mkdir()
    (videos / "partial.mp4").rename(videos / "elsewhere" / "partial.mp4")
    shutil.copy(videos / "same.mp4", videos / "copy.mp4")
    until(lambda: watcher.status()["videos"] == 6, "it sees the copy")
    time.sleep(1)
    assert watcher.stop() == 0
    watcher.start()
    time.sleep(1)
    watcher.settle(5)
    assert watcher.stop() == 0
    shutil.rmtree(state_folder(videos))
    watcher.start()
    until(lambda: watcher.status()["videos"] == 6, "it sees the clips")
    time.sleep(1.5)
    watcher.settle(0)
    assert takes(videos) == found

    # Another content under the same name is another take of the same project.
    replacement = videos / ".new.mp4"
    shutil.copy(drawer(6), replacement)
    replacement.replace(videos / "renamed.mp4")
    watcher.settle(1)
    assert takes(videos) == found | {"growing.cmt": ["take 1"], "renamed.cmt": ["take 1"]}
    shutil.copy(drawer(7), videos / "renamed.mp4")
    watcher.settle(2)
    assert takes(videos)["renamed.cmt"] == ["take 1", "take 2"]
    assert (videos / "renamed.mid").read_bytes() == (videos / "renamed.cmt" / "take 2" / "renamed.mid").read_bytes()
    assert (videos / "notes.txt").read_text() == "mine"
    assert hidden(videos) == []


def test_kills_cost_nothing(watcher: Watcher, videos: Path, drawer: Callable[..., Path], model: Path) -> None:
    count = 4
    configure(videos, model, f"variations = {count}")
    shutil.copy(drawer(1, seconds=5.0), videos / "a.mp4")
    shutil.copy(drawer(2, seconds=5.0), videos / "b.mp4")
    (videos / "a.mid.txt").write_text("mine")
    before = digests(videos)
    all_takes = [f"take {number}" for number in range(1, count + 1)]
    stages = {
        "measure": lambda: [job for job in watcher.jobs("running") if job["stage"] == "measure"],
        "compose": lambda: [job for job in watcher.jobs("running") if job["stage"] == "compose"],
        "deliver": lambda: any(videos.glob(".b.cmt.*.part/*")) or (videos / "b.cmt").exists(),
    }
    for stage, comes in stages.items():
        watcher.start()
        until(comes, stage, every=0.005 if stage == "deliver" else 0.05)
        worker = watcher.status()["workers"]["batch"]
        watcher.kill()
        until(lambda worker=worker: not is_alive(worker), "the worker ends")  # type: ignore[misc]
        assert takes(videos).keys() <= {"a.cmt", "b.cmt"}
        assert all(found == all_takes for found in takes(videos).values())
        assert digests(videos) == before
    watcher.start()
    watcher.settle(2)
    assert takes(videos) == {"a.cmt": all_takes, "b.cmt": all_takes}
    for name in "ab":
        first = videos / f"{name}.cmt" / "take 1" / f"{name}.mid"
        assert (videos / f"{name}.mid").read_bytes() == first.read_bytes()
    assert [(job["state"], job["tries"]) for job in watcher.jobs()] == [("done", 1), ("done", 1)]
    assert digests(videos) == before
    assert hidden(videos) == []


def test_the_command_line_is_alike_without_a_daemon(
    run: Run, watcher: Watcher, videos: Path, drawer: Callable[..., Path], tmp_path: Path
) -> None:
    (videos / "cmt-bridge.toml").write_text((videos / "cmt-bridge.toml").read_text() + 'ignore = ["*"]\n')
    shutil.copy(drawer(1, seconds=2.0), videos / "clip.mp4")
    (videos / "broken.mp4").write_bytes(b"no video")
    alone = tmp_path / "alone"
    shutil.copytree(videos, alone)
    asked = (
        ("score", "clip.mp4", "--seed", 5, "-n", 2, "--control", 0.9),
        ("regenerate", "clip.mp4", "--bars", "1", "--seed", 3, "--candidates", 2),
        ("regenerate", "clip.mp4", "--bars", "900-901", "--seed", 3),
        ("score", "broken.mp4"),
        ("score", "clip.mp4", "--model", "nowhere"),
    )
    ended = {}
    for place in (alone, videos):
        if place == videos:
            watcher.start()
        done = [run(*words, cwd=place) for words in asked]
        said = [[line for line in each.stderr.splitlines() if "compose" not in line] for each in done]
        ended[place] = [(each.returncode, each.stdout, lines) for each, lines in zip(done, said, strict=True)]
    assert ended[alone] == ended[videos]
    assert [code for code, _, _ in ended[videos]] == [0, 0, 2, 3, 2]
    assert [job["state"] for job in watcher.jobs()] == ["done", "done", "failed", "failed"]
    assert takes(alone) == takes(videos) == {"clip.cmt": ["take 1", "take 2", "take 3"]}
    for number in (1, 2, 3):
        for name in ("clip.mid", "score.json", "metadata.json"):
            one, other = (place / "clip.cmt" / f"take {number}" / name for place in (alone, videos))
            assert one.read_bytes() == other.read_bytes()
    assert (alone / "clip.mid").read_bytes() == (videos / "clip.mid").read_bytes()
    assert not (videos / "broken.mp4 was not scored.txt").exists()


def test_an_interrupt_of_the_command_line_cancels_its_job(
    watcher: Watcher, videos: Path, drawer: Callable[..., Path], environment: dict[str, str]
) -> None:
    (videos / "cmt-bridge.toml").write_text((videos / "cmt-bridge.toml").read_text() + 'ignore = ["*"]\n')
    shutil.copy(drawer(1, seconds=5.0), videos / "clip.mp4")
    watcher.start()
    command = [*PROGRAM, "score", "clip.mp4", "-n", "64"]
    process = subprocess.Popen(command, cwd=videos, env=environment, stderr=subprocess.PIPE, text=True)
    until(lambda: [job for job in watcher.jobs("running") if job["stage"] == "compose"], "it composes")
    process.send_signal(signal.SIGINT)
    assert "cmt-bridge: interrupted" in process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == 130
    until(lambda: watcher.status()["workers"]["live"] is None, "the worker ends")
    assert [job["state"] for job in watcher.jobs()] == ["cancelled"]
    assert sorted(path.name for path in videos.iterdir()) == ["clip.mp4", "cmt-bridge.toml"]


def test_programs_ask_by_http_and_osc(watcher: Watcher, videos: Path, drawer: Callable[..., Path], model: Path) -> None:
    configure(videos, model, more='ignore = ["*"]')
    shutil.copy(drawer(1), videos / "clip.mp4")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    client = watcher.start("--osc", port)

    # Idle, it is small and does nothing.
    assert watcher.process is not None
    process = Path(f"/proc/{watcher.process.pid}")
    before = sum(map(int, (process / "stat").read_text().rpartition(")")[2].split()[11:13]))
    time.sleep(3)
    after = sum(map(int, (process / "stat").read_text().rpartition(")")[2].split()[11:13]))
    assert (after - before) / os.sysconf("SC_CLK_TCK") < 0.3
    memory = next(line for line in (process / "status").read_text().splitlines() if line.startswith("VmRSS"))
    assert int(memory.split()[1]) < MEMORY
    assert not [name for name in HEAVY if f"/{name}" in (process / "maps").read_text()]

    assert _status_of(client, "wrong") == 401
    assert _status_of(client, client.instance.token()) == 200
    heard: list[tuple[str, float]] = []
    job = client.request("POST", "/v1/score", {"path": "clip.mp4", "options": {"seed": 4, "control": 0.5}})
    assert client.follow(job["id"], lambda stage, share: heard.append((stage, share)))["state"] == "done"
    assert {stage for stage, _ in heard} >= {"measure", "compose"}
    assert takes(videos) == {"clip.cmt": ["take 1"]}

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as osc:
        osc.settimeout(PATIENCE)
        token = client.instance.token()
        _send(osc, port, "score", "wrong", "clip.mp4")
        _send(osc, port, "subscribe", token)
        _send(osc, port, "regenerate", token, "clip.mp4", "1", "seed", 9, "candidates", 1)
        said: list[OscMessage] = []
        while not any(
            message.params[0].startswith('{"event": "job"') and '"done"' in message.params[0] for message in said
        ):
            said.append(OscMessage(osc.recv(1 << 16)))
        assert [message.params[:2] for message in said if message.address.endswith("/reply")] == [
            ["subscribe", "ok"],
            ["regenerate", "ok"],
        ]
    assert takes(videos) == {"clip.cmt": ["take 1", "take 2"]}
    assert json.loads((videos / "clip.cmt" / "take 2" / "take.json").read_text())["seed"] == 9

    query = {"path": "clip.mp4"}
    assert client.request("GET", "/v1/takes", query=query)["current"] == 2
    second = (videos / "clip.mid").read_bytes()
    client.request("POST", "/v1/takes/undo", query)
    assert client.request("GET", "/v1/takes", query=query)["current"] == 1
    assert (videos / "clip.mid").read_bytes() != second
    client.request("POST", "/v1/takes/choose", {**query, "take": 2})
    assert (videos / "clip.mid").read_bytes() == second


def _status_of(client: Client, token: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", client.instance.port, timeout=PATIENCE)
    try:
        connection.request("GET", "/v1/status", headers={"Authorization": f"Bearer {token}"})
        return connection.getresponse().status
    finally:
        connection.close()


def _send(osc: socket.socket, port: int, verb: str, *arguments: Any) -> None:
    message = OscMessageBuilder(f"/cmt-bridge/{verb}")
    for argument in arguments:
        message.add_arg(argument)
    osc.sendto(message.build().dgram, ("127.0.0.1", port))


def test_one_daemon_watches_a_folder_until_told_to_end(
    watcher: Watcher, videos: Path, drawer: Callable[..., Path], environment: dict[str, str]
) -> None:
    both = [
        subprocess.Popen([*PROGRAM, "watch", str(videos)], env=environment, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    until(lambda: any(each.poll() is not None for each in both), "one of them ends")
    loser, winner = sorted(both, key=lambda each: each.poll() is None)
    assert loser.returncode == 2
    assert "is being watched already" in loser.communicate()[1].splitlines()[-1]
    assert winner.poll() is None
    winner.send_signal(signal.SIGINT)
    assert "stopping" in winner.communicate(timeout=PATIENCE)[1]
    assert winner.returncode == 0

    # A second Ctrl-C ends it in the middle of what it does; what was begun goes on the next time.
    shutil.copy(drawer(1, seconds=5.0), videos / "clip.mp4")
    watcher.start()
    worker = until(lambda: watcher.status()["workers"]["batch"], "it has a worker")
    assert watcher.process is not None
    os.kill(worker, signal.SIGSTOP)  # so that it does not end in order
    watcher.process.send_signal(signal.SIGINT)
    until(lambda: "stopping" in watcher.said, "it stops")
    time.sleep(0.2)
    assert watcher.stop(signal.SIGINT) == 130
    os.kill(worker, signal.SIGCONT)
    until(lambda: not is_alive(worker), "the worker ends")

    # In order, it costs no try.
    watcher.start()
    until(lambda: [job for job in watcher.jobs("running") if job["stage"] == "compose"], "it composes")
    (tries,) = [job["tries"] for job in watcher.jobs()]
    assert watcher.stop() == 0
    watcher.start()
    watcher.settle(1)
    assert [job["tries"] for job in watcher.jobs()] == [tries]
    assert takes(videos) == {"clip.cmt": ["take 1"]}
    assert hidden(videos) == []


def test_daemons_in_the_background(run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"CMT_BRIDGE_STATE": str(tmp_path / "state"), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    monkeypatch.setenv("CMT_BRIDGE_STATE", own["CMT_BRIDGE_STATE"])
    for name in ("one", "two words"):
        (folder / name).mkdir()
    (folder / "one" / "cmt-bridge.toml").write_text("[watch]\nrelease = 'never'\n")
    try:
        done = run("daemon", "start", "one", env=own)
        assert (done.returncode, done.stdout.strip().isdigit()) == (0, True), done.stderr
        again = run("daemon", "start", "one", env=own)
        assert (again.returncode, "already" in again.stderr) == (2, True)
        assert run("daemon", "start", "two words", env=own).returncode == 0
        shown = run("daemon", "status", env=own).stdout
        assert str(folder / "one") in shown
        assert str(folder / "two words") in shown
        assert "watch.release must be a number from 0 to 1,000,000, not" in shown
        told = json.loads(run("daemon", "status", "two words", "--json", env=own).stdout)
        assert [each["folder"] for each in told["daemons"]] == [str(folder / "two words")]
        assert "watching" in run("daemon", "logs", "two words", env=own).stdout
        port = str(told["daemons"][0]["pid"])
        assert run("daemon", "stop", "two words", env=own).returncode == 0
        until(lambda: not is_alive(int(port)), "it ends")
        assert run("daemon", "stop", "two words", env=own).returncode == 2
        assert run("daemon", "logs", ".", env=own).returncode == 2
        assert run("daemon", "start", "nowhere", env=own).returncode == 2
    finally:
        assert run("daemon", "stop", "--all", env=own).returncode == 0
    assert json.loads(run("daemon", "status", "--json", env=own).stdout) == {"daemons": []}
    taken = socket.create_server(("127.0.0.1", 0))
    with taken:
        done = run("daemon", "start", "one", "--port", taken.getsockname()[1], env=own)
    assert done.returncode == 1
    assert "Nothing can listen at port" in done.stderr

    done = run("service", "install", "two words", env=own)
    unit = Path(done.stdout.strip())
    assert unit.is_relative_to(tmp_path / "config")
    assert str(folder / "two words") in unit.read_text()
    assert run("service", "remove", "two words", env=own).returncode == 0
    assert run("service", "remove", "two words", env=own).returncode == 2
    assert not unit.exists()


SMALL_DISK = """
mount -t tmpfs -o size=40m tmpfs "$1" || exit 99
mkdir "$1/videos"
cp -R "$2/." "$1/videos"
rm "$2"/*
mount --bind "$1/videos" "$2" || exit 99
shift 2
exec "$@"
"""


def test_a_disk_may_be_full_and_may_go_away(
    watcher: Watcher, videos: Path, drawer: Callable[..., Path], tmp_path: Path
) -> None:
    if os.geteuid() or not shutil.which("unshare") or not shutil.which("nsenter"):
        pytest.skip("mounting a small disk needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounts = ["unshare", "--mount"]
    if subprocess.run([*mounts, "mount", "-t", "tmpfs", "tmpfs", disk], check=False, capture_output=True).returncode:
        pytest.skip("no small disk can be mounted here")
    watcher.start(within=[*mounts, "sh", "-c", SMALL_DISK, "sh", str(disk), str(videos)])
    assert watcher.process is not None
    number = watcher.process.pid
    there = Path(f"/proc/{number}/root{videos}")

    filler = there / "filler.bin"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(there).free - drawer(1).stat().st_size - 8192)
    shutil.copy(drawer(1), there / "first.mp4")
    until(lambda: watcher.status()["full"], "the disk is full")
    assert [(job["state"], job["tries"]) for job in watcher.jobs()] == [("waiting", 0)]
    assert takes(there) == {}
    filler.unlink()
    watcher.settle(1)
    assert not watcher.status()["full"]
    assert takes(there) == {"first.cmt": ["take 1"]}
    assert hidden(there) == []

    inside = ["nsenter", f"--target={number}", "--mount"]
    subprocess.run([*inside, "umount", str(videos)], check=True)
    until(lambda: not watcher.status()["there"], "the disk is gone")
    time.sleep(0.5)
    shutil.copy(drawer(2), Path(f"/proc/{number}/root{disk}/videos/second.mp4"))
    assert list(there.iterdir()) == []
    subprocess.run([*inside, "mount", "--bind", str(disk / "videos"), str(videos)], check=True)
    watcher.settle(2)
    assert watcher.status()["there"]
    assert takes(there) == {"first.cmt": ["take 1"], "second.cmt": ["take 1"]}
