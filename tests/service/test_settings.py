"""A setting that cannot be used is refused in one sentence, whichever way it reaches a daemon."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import pytest
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from cmt_bridge.errors import UsageError
from cmt_bridge.service.client import Client
from cmt_bridge.service.instance import state_folder
from cmt_bridge.service.osc import PREFIX, OscControl
from cmt_bridge.settings import Verb, setting
from tests.service.house import serving

pytestmark = pytest.mark.slow

CASES: list[tuple[Verb, str, Any]] = [
    ("score", "tempo", 7),
    ("score", "instruments", "kazoo"),
    ("score", "control", "1-4:2"),
    ("regenerate", "density", 16),
    ("regenerate", "tracks", ["kazoo"]),
    ("regenerate", "precision", "int4"),
    ("stream", "follow", "me"),
    ("stream", "loop", "8-5"),
    ("stream", "start", "::"),
]


async def by_http(folder: Path, verb: str, body: dict[str, Any]) -> str:
    client = await asyncio.to_thread(Client.for_path, folder)
    assert client is not None
    with pytest.raises(UsageError) as caught:
        await asyncio.to_thread(client.request, "POST", f"/v1/{verb}", body)
    return str(caught.value)


async def by_file(folder: Path, verb: str, body: dict[str, Any]) -> str:
    spool = state_folder(folder) / "spool"
    name = f"{verb}-{abs(hash(str(body)))}.json"
    part = spool / f"{name}.part"
    part.write_text(json.dumps({"do": verb, "with": body}))
    part.replace(spool / "requests" / name)
    async with asyncio.timeout(20):
        while not (spool / "answers" / name).exists():
            await asyncio.sleep(0.01)
    said = json.loads((spool / "answers" / name).read_text())
    assert not said["ok"]
    return f"{said['error']} {said['hint']}"


async def by_osc(port: int, token: str, verb: str, name: str, value: Any) -> str:
    message = OscMessageBuilder(PREFIX + verb)
    arguments = [token, "clip.mp4", *(["1"] if verb == "regenerate" else []), name, value]
    for argument in arguments:
        message.add_arg(",".join(argument) if isinstance(argument, list) else argument)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.bind(("127.0.0.1", 0))
        own.settimeout(20)
        own.sendto(message.build().dgram, ("127.0.0.1", port))
        reply = OscMessage(await asyncio.to_thread(own.recv, 65536))
    assert reply.params[:2] == [verb, "error"]
    return str(reply.params[2])


def test_every_way_refuses_in_one_sentence(home: Path) -> None:
    (home / "clip.mp4").mkdir()  # no file of which a score is made by itself

    async def test() -> None:
        async with serving(home) as daemon:
            async with asyncio.timeout(20):
                while await asyncio.to_thread(Client.for_path, home) is None:
                    await asyncio.sleep(0.05)
            osc = OscControl(daemon, daemon._held.token, 0)
            port = await osc.start()
            try:
                for verb, name, value in CASES:
                    fields = {name: value}
                    body = {"path": "clip.mp4", **({"options": fields} if verb == "score" else fields)}
                    row = setting(verb, name)
                    sentence = str(row.error(value))
                    assert await by_http(home, verb, body) == sentence
                    assert await by_file(home, verb, body) == sentence
                    if verb != "score":
                        told = await by_osc(port, daemon._held.token, verb, name, value)
                        assert told == sentence
            finally:
                await osc.stop()

    asyncio.run(test())
