from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cmt_bridge.errors import CmtBridgeError, InputError, MissingError, OutputError, UsageError
from cmt_bridge.service.client import Client
from cmt_bridge.service.events import LAGGED
from cmt_bridge.service.instance import STATE_VARIABLE, Held, hold
from tests.service.desk import Served, serve

FOLLOW = """
import sys
from pathlib import Path
from cmt_bridge.service.client import Client
client = Client.for_path(Path(sys.argv[1]))
try:
    client.follow(1, lambda stage, share: print(stage, share, flush=True))
except KeyboardInterrupt as interrupt:
    print(interrupt, flush=True)
    sys.exit(130)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    (tmp_path / "clips").mkdir()
    return tmp_path / "clips"


@pytest.fixture
def held(folder: Path) -> Iterator[Held]:
    with hold(folder) as held:
        yield held


@pytest.fixture
def served(held: Held) -> Iterator[Served]:
    with serve(held.folder, held.token) as served:
        held.announce(served.port)
        yield served


@pytest.fixture
def client(served: Served, folder: Path) -> Client:
    client = Client.for_path(folder / "clip.mp4")
    assert client is not None
    served.desk.asked.clear()
    return client


def _score(client: Client) -> int:
    return int(client.request("POST", "/v1/score", {"path": "clip.mp4"})["id"])


def test_where_no_daemon_lives_there_is_no_client(folder: Path) -> None:
    assert Client.for_path(folder) is None


def test_a_path_elsewhere_has_no_client(served: Served, tmp_path: Path) -> None:
    assert Client.for_path(tmp_path) is None
    assert served.desk.asked == []


def test_a_daemon_that_starts_is_waited_for(held: Held, folder: Path) -> None:
    with serve(held.folder, held.token) as served:
        timer = threading.Timer(0.3, held.announce, [served.port])
        timer.start()
        client = Client.for_path(folder)
        timer.join()
        assert client is not None
        assert client.request("GET", "/v1/status") == {"folder": str(held.folder)}


def test_a_daemon_that_never_answers_is_none(held: Held, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cmt_bridge.service.client.START_PATIENCE", 0.3)
    assert Client.for_path(folder) is None
    held.announce(1)
    assert Client.for_path(folder) is None


def test_a_request_is_carried_out_there(served: Served, client: Client) -> None:
    number = _score(client)
    assert client.request("GET", f"/v1/jobs/{number}")["state"] == "waiting"
    assert client.request("GET", "/v1/takes", query={"path": "a b&ä+%.mp4"})["path"] == "a b&ä+%.mp4"
    assert served.desk.asked == [
        ("score", {"path": "clip.mp4"}),
        ("job", {"id": 1}),
        ("takes", {"path": "a b&ä+%.mp4"}),
    ]


def test_an_operation_is_asked_for_by_its_name(served: Served, client: Client) -> None:
    number = client.ask("score", {"path": "clip.mp4", "seed": 3})["id"]
    assert client.ask("job", {"id": number})["state"] == "waiting"
    assert client.ask("cancel", {"id": number})["state"] == "cancelled"
    assert client.ask("jobs", {"state": "cancelled", "limit": 5})["jobs"][0]["id"] == number
    assert client.ask("takes", {"path": "a b&ä+%.mp4"})["path"] == "a b&ä+%.mp4"
    assert client.ask("choose", {"path": "clip.mp4", "step": -1})["path"] == "clip.mp4"
    assert served.desk.asked == [
        ("score", {"path": "clip.mp4", "seed": 3}),
        ("job", {"id": number}),
        ("cancel", {"id": number}),
        ("jobs", {"state": "cancelled", "limit": 5}),
        ("takes", {"path": "a b&ä+%.mp4"}),
        ("choose", {"path": "clip.mp4", "step": -1}),
    ]
    for operation in ("takes", "choose", "stream_stop"):
        with pytest.raises(UsageError, match="no field"):
            client.ask(operation, {"path": "clip.mp4", "take": 1, "odd": 1})


@pytest.mark.parametrize("kind", [CmtBridgeError, UsageError, InputError, MissingError, OutputError])
def test_an_error_is_the_one_that_the_daemon_met(served: Served, client: Client, kind: type[CmtBridgeError]) -> None:
    served.desk.error = kind("Cannot do 'ä'.", hint="Do something else.")
    with pytest.raises(CmtBridgeError) as caught:
        client.request("GET", "/v1/status")
    assert type(caught.value) is kind
    assert caught.value.args == ("Cannot do 'ä'.",)
    assert caught.value.hint == "Do something else."
    assert caught.value.exit_code == kind.exit_code


def test_what_is_not_there_is_a_wrong_use(client: Client) -> None:
    with pytest.raises(UsageError, match="There is no job 7") as caught:
        client.request("GET", "/v1/jobs/7")
    assert caught.value.exit_code == 2


def test_a_daemon_that_ended_meanwhile_is_named(served: Served, client: Client) -> None:
    served.run(served.server.stop())
    with pytest.raises(CmtBridgeError, match="does not answer") as caught:
        client.request("GET", "/v1/status")
    assert "cmt-bridge daemon start" in caught.value.hint


def test_a_job_is_followed_to_its_end(served: Served, client: Client) -> None:
    number = _score(client)
    heard: list[tuple[str, float]] = []

    def work() -> None:
        other = dict(served.desk.new("score", {"path": "other.mp4"}))
        served.desk.table[number - 1] |= {"stage": "measure"}
        served.desk.become(number, "running")
        for each, share in ((other["id"], 0.1), (number, 0.25), (number, 0.5)):
            served.desk.events.publish({"event": "progress", "id": each, "stage": "compose", "share": share})
        served.desk.become(other["id"], "failed")
        served.desk.table[number - 1] |= {"takes": [1]}
        served.desk.become(number, "done")

    async def when_followed() -> None:
        while ("job", {"id": number}) not in served.desk.asked:
            await asyncio.sleep(0.01)
        work()

    following = asyncio.run_coroutine_threadsafe(when_followed(), served.loop)
    job = client.follow(number, lambda stage, share: heard.append((stage, share)))
    following.result(10)
    assert (job["state"], job["takes"]) == ("done", [1])
    assert heard == [("measure", 0.0), ("compose", 0.25), ("compose", 0.5)]


@pytest.mark.parametrize("state", ["done", "failed", "cancelled"])
def test_a_job_that_has_ended_is_not_waited_for(served: Served, client: Client, state: str) -> None:
    number = _score(client)
    served.call(served.desk.become, number, state)
    assert client.follow(number, lambda *_: None)["state"] == state


def test_a_job_that_is_not_there_cannot_be_followed(client: Client) -> None:
    with pytest.raises(UsageError, match="There is no job 3"):
        client.follow(3, lambda *_: None)


def test_who_lagged_listens_again(served: Served, client: Client) -> None:
    number = _score(client)

    async def let_go() -> None:
        for times in (1, 2):
            while served.desk.asked.count(("job", {"id": number})) < times:
                await asyncio.sleep(0.01)
            if times == 1:
                for subscription in served.desk.events._subscriptions:
                    subscription.lagged = True
                    subscription._waiting.append(LAGGED)
                    subscription._wake.set()
        served.desk.become(number, "done")

    leaving = asyncio.run_coroutine_threadsafe(let_go(), served.loop)
    assert client.follow(number, lambda *_: None)["state"] == "done"
    leaving.result(10)


def test_a_daemon_that_ends_before_the_job_is_named(served: Served, client: Client) -> None:
    number = _score(client)

    async def end() -> None:
        while ("job", {"id": number}) not in served.desk.asked:
            await asyncio.sleep(0.01)
        await served.server.stop()

    ending = asyncio.run_coroutine_threadsafe(end(), served.loop)
    with pytest.raises(CmtBridgeError, match=f"ended before job {number} did") as caught:
        client.follow(number, lambda *_: None)
    ending.result(10)
    assert "goes on when it is started again" in caught.value.hint


@pytest.mark.skipif(os.name != "posix", reason="sends a signal as a terminal does")
def test_ctrl_c_cancels_the_job_and_says_so(served: Served, client: Client, folder: Path) -> None:
    number = _score(client)
    served.call(served.desk.become, number, "running")
    with subprocess.Popen([sys.executable, "-c", FOLLOW, str(folder)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == " 0.0\n"
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == f"Job {number} was cancelled.\n"
        assert process.wait(20) == 130
    assert served.desk.table[0]["state"] == "cancelled"
