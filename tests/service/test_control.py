from __future__ import annotations

import asyncio
import http.client
import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest

from cmt_bridge.errors import CmtBridgeError, InputError, MissingError, OutputError, UsageError
from cmt_bridge.service import access
from cmt_bridge.service import http as http_module
from cmt_bridge.service.access import MOST_CONNECTIONS, MOST_STRANGERS
from cmt_bridge.service.events import MOST_WAITING
from cmt_bridge.service.http import HttpServer
from cmt_bridge.service.openapi import document, operations
from cmt_bridge.service.operations import OPERATIONS
from cmt_bridge.service.ws import MOST_SOCKETS
from tests.service.desk import MemoryDesk, Served, serve

KNOWN_KEYWORDS = {
    *("$ref", "type", "enum", "minimum", "maximum", "minLength", "maxLength", "pattern", "minItems", "maxItems"),
    *("items", "maxProperties", "properties", "required", "additionalProperties", "description", "default"),
    "anyOf",
    "x-allowed",
}
"""What the checker of requests understands of JSON Schema."""

Answer = tuple[int, dict[str, str], dict[str, Any]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("watched")
    (folder / "sub").mkdir()
    (folder / "clip.mp4").touch()
    (folder / "sub" / "clip.mp4").touch()
    (folder / "link.mp4").symlink_to("sub/clip.mp4")
    (folder / "out").symlink_to(folder.parent)
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Served]:
    with serve(folder) as served:
        yield served


@pytest.fixture
def served(server: Served) -> Served:
    server.desk.error = None
    server.desk.asked.clear()
    server.desk.table.clear()
    return server


def _ask(served: Served, method: str, path: str, body: object = None, **headers: str | None) -> Answer:
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    said: dict[str, str | None] = {"Content-Type": "application/json"} if data is not None else {}
    said |= {**served.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
    try:
        sent = {name: value for name, value in said.items() if value is not None}
        connection.request(method, path, data, sent)
        response = connection.getresponse()
        text = response.read()
        assert response.headers["Content-Type"].startswith("application/json")
        return response.status, dict(response.headers), json.loads(text)
    finally:
        connection.close()


def _raw(served: Served, data: bytes, *, wait: float = 30) -> bytes:
    """Send bytes; give all that comes until the server closes."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=wait) as connection:
        got = b""
        try:
            connection.sendall(data)
            while more := connection.recv(65536):
                got += more
        except ConnectionError:
            pass
        return got


def _head(served: Served, line: str, *more: str) -> bytes:
    lines = (line, f"Host: 127.0.0.1:{served.port}", f"Authorization: Bearer {served.token}", *more)
    return "\r\n".join((*lines, "", "")).encode()


def _upgrade(served: Served) -> bytes:
    return _head(
        served,
        "GET /v1/events HTTP/1.1",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    )


# What can be asked for.


def test_every_operation_reaches_the_desk(served: Served) -> None:
    asked = served.desk.asked
    assert _ask(served, "GET", "/v1/status")[2] == {"folder": str(served.desk.folder)}
    status, _, job = _ask(served, "POST", "/v1/score", {"path": "clip.mp4", "seed": 3, "options": {"control": 0.5}})
    assert (status, job["id"], job["kind"]) == (202, 1, "score")
    body = {"path": "clip.mp4", "bars": "4-8,13", "keep": "rhythm", "from": 2.5, "to": "end", "tracks": ["bass"]}
    status, _, job = _ask(served, "POST", "/v1/regenerate", body)
    assert (status, job["id"], job["kind"]) == (202, 2, "regenerate")
    assert [job["id"] for job in _ask(served, "GET", "/v1/jobs?state=waiting&limit=1")[2]["jobs"]] == [2]
    assert len(_ask(served, "GET", "/v1/jobs")[2]["jobs"]) == 2
    assert _ask(served, "GET", "/v1/jobs/1")[2]["path"] == "clip.mp4"
    assert _ask(served, "POST", "/v1/jobs/1/cancel")[2]["state"] == "cancelled"
    assert _ask(served, "POST", "/v1/jobs/1/cancel", {})[0] == 200
    assert _ask(served, "GET", "/v1/takes?path=sub/clip.mp4")[0] == 200
    for verb in ("accept", "reject", "undo", "redo"):
        assert _ask(served, "POST", f"/v1/takes/{verb}", {"path": "clip.mp4"})[0] == 200
    assert _ask(served, "POST", "/v1/takes/choose", {"path": "clip.mp4", "take": 2})[0] == 200
    assert _ask(served, "POST", "/v1/takes/choose", {"path": "clip.mp4", "step": -1})[0] == 200
    assert _ask(served, "POST", "/v1/takes/choose", {"path": "clip.mp4", "take": 2, "step": 1})[0] == 200
    assert _ask(served, "GET", "/v1/diff?path=clip.mp4&a=1&b=2")[0] == 200
    assert _ask(served, "GET", "/v1/arrangement?path=clip.mp4")[2]["division"] == 480
    assert _ask(served, "GET", "/v1/arrangement?path=clip.mp4&take=2")[0] == 200
    assert _ask(served, "POST", "/v1/export", {"path": "clip.mp4", "project": "reaper", "take": 2})[0] == 200
    labelled = {"path": "clip.mp4", "project": "edl", "start": "01:00:00:00", "rate": "25"}
    assert _ask(served, "POST", "/v1/export", labelled)[0] == 200
    assert _ask(served, "GET", "/v1/openapi.json")[2] == document()
    stream = {"path": "clip.mp4", "follow": "mtc", "to": ["synth"], "latency": {"drums": 5}, "options": {"seed": 3}}
    assert _ask(served, "POST", "/v1/stream", stream)[::2] == (202, {"playing": "clip.mp4"})
    assert _ask(served, "GET", "/v1/stream")[::2] == (200, {"playing": ""})
    wanted = {"mute.drums": True, "density": 2, "loop": "5-8", "learn": "control"}
    assert _ask(served, "POST", "/v1/stream/control", wanted)[2]["muted"] == ["drums"]
    assert _ask(served, "POST", "/v1/stream/stop")[0] == 200
    assert _ask(served, "POST", "/v1/stop")[::2] == (202, {"stopping": True})
    assert asked == [
        ("status", {}),
        ("score", {"path": "clip.mp4", "seed": 3, "options": {"control": 0.5}}),
        ("regenerate", body),
        ("jobs", {"state": "waiting", "limit": 1}),
        ("jobs", {}),
        ("job", {"id": 1}),
        ("cancel", {"id": 1}),
        ("cancel", {"id": 1}),
        ("takes", {"path": "sub/clip.mp4"}),
        ("accept", {"path": "clip.mp4"}),
        ("reject", {"path": "clip.mp4"}),
        ("undo", {"path": "clip.mp4"}),
        ("redo", {"path": "clip.mp4"}),
        ("choose", {"path": "clip.mp4", "take": 2}),
        ("choose", {"path": "clip.mp4", "step": -1}),
        ("choose", {"path": "clip.mp4", "take": 2, "step": 1}),
        ("diff", {"path": "clip.mp4", "a": 1, "b": 2}),
        ("arrangement", {"path": "clip.mp4"}),
        ("arrangement", {"path": "clip.mp4", "take": 2}),
        ("export", {"path": "clip.mp4", "project": "reaper", "take": 2}),
        ("export", labelled),
        ("openapi", {}),
        ("stream", stream),
        ("stream_status", {}),
        ("stream_control", wanted),
        ("stream_stop", {}),
        ("stop", {}),
    ]
    assert {name for name, _ in asked} == OPERATIONS.keys()


def test_operations_and_handlers_are_the_same() -> None:
    assert OPERATIONS.keys() | {"events"} == operations().keys()


def test_an_answer_is_kept_by_nobody_and_says_no_version(served: Served) -> None:
    _, headers, _ = _ask(served, "GET", "/v1/status")
    assert headers["Cache-Control"] == "no-store"
    assert headers["Server"] == "cmt-bridge"
    assert not any(name.lower().startswith("access-control") for name in headers)


def test_a_name_that_is_no_utf_8_can_be_told(served: Served) -> None:
    served.desk.error = InputError("Cannot read odd\udcff.mp4.")
    status, _, answer = _ask(served, "GET", "/v1/status")
    assert (status, answer["error"]) == (422, "Cannot read odd\udcff.mp4.")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (CmtBridgeError("A.", hint="B."), 500),
        (UsageError("A.", hint="B."), 400),
        (InputError("A.", hint="B."), 422),
        (MissingError("A.", hint="B."), 424),
        (OutputError("A.", hint="B."), 507),
    ],
)
def test_an_error_has_its_status_and_its_exit_code(served: Served, error: CmtBridgeError, status: int) -> None:
    served.desk.error = error
    assert _ask(served, "GET", "/v1/status")[::2] == (status, {"error": "A.", "hint": "B.", "code": error.exit_code})


def test_what_nobody_foresaw_is_told_in_the_log_alone(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    served.desk.error = RuntimeError("secret")
    status, _, answer = _ask(served, "GET", "/v1/status")
    assert (status, answer["code"]) == (500, 1)
    assert "secret" not in json.dumps(answer)
    assert "secret" in caplog.text


# What is refused: fields.


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("score", {}, "lacks 'path'"),
        ("score", {"path": 1}, "path must be text"),
        ("score", {"path": ""}, "path must be 1 to 4096"),
        ("score", {"path": "a\0b"}, "path must be of the form"),
        ("score", {"path": "c" * 4097}, "path must be 1 to 4096"),
        ("score", {"path": "c", "variations": 0}, "variations must be a whole number from 1 to 64, not 0."),
        ("score", {"path": "c", "variations": 65}, "variations must be a whole number from 1 to 64, not 65."),
        ("score", {"path": "c", "variations": 1.5}, "variations must be a whole number from 1 to 64, not 1.5."),
        ("score", {"path": "c", "variations": True}, "variations must be a whole number from 1 to 64, not true."),
        ("score", {"path": "c", "again": 1}, "again must be true or false"),
        ("score", {"path": "c", "seed": -1}, "seed must be a whole number from 0 up, not -1."),
        ("score", {"path": "c", "sede": 1}, "no field 'sede'"),
        ("score", {"path": "c", "options": []}, "options must be an object"),
        ("score", {"path": "c", "options": {"key": None}}, "key must be text of 1 to 4,096 characters, not null."),
        (
            "score",
            {"path": "c", "options": {"key": "x" * 40_000}},
            "key must be text of 1 to 4,096 characters, not 'xxx",
        ),
        ("score", {"path": "c", "options": {"key": [[1]]}}, "key must be text of 1 to 4,096 characters, not [[1]]."),
        (
            "score",
            {"path": "c", "options": {"key": {"a": {"b": 1}}}},
            'key must be text of 1 to 4,096 characters, not {"a": {"b": 1}}.',
        ),
        ("score", {"path": "c", "options": {str(index): 1 for index in range(65)}}, "options must be of at most 64"),
        ("score", [], "no JSON object"),
        ("regenerate", {"path": "c", "keep": "all"}, "keep must be one of rhythm, pitches, not 'all'."),
        (
            "regenerate",
            {"path": "c", "tracks": []},
            "tracks must be a list of drums, piano, guitar, bass, strings, not [].",
        ),
        (
            "regenerate",
            {"path": "c", "tracks": [1]},
            "tracks must be a list of drums, piano, guitar, bass, strings, not [1].",
        ),
        (
            "regenerate",
            {"path": "c", "from": True},
            "from must be seconds from 0 to 21,600, or the name of a marker, not true.",
        ),
        (
            "regenerate",
            {"path": "c", "from": -1},
            "from must be seconds from 0 to 21,600, or the name of a marker, not -1.",
        ),
        ("regenerate", {"path": "c", "control": 1.1}, "control must be a number from 0 to 1, not 1.1."),
        ("regenerate", {"path": "c", "bars": ""}, "bars must be bars from 1, such as 4-8,13, not ''."),
        ("regenerate", {"path": "c", "bars": 4}, "bars must be bars from 1, such as 4-8,13, not 4."),
        ("takes/choose", {"path": "c"}, "lacks 'take'"),
        ("takes/choose", {"path": "c"}, "or 'step'"),
        ("takes/choose", {"path": "c", "step": 2}, "step must be one of -1, 1"),
        ("takes/accept", {"path": "c", "step": 1}, "no field 'step'"),
        ("takes/undo", {"path": "c", "take": 1}, "no field 'take'"),
        ("jobs/1/cancel", {"id": 2}, "no field 'id'"),
        ("stream", {}, "lacks 'path'"),
        (
            "stream",
            {"path": "c", "follow": "me"},
            "follow must be one of clock, ardour-clock, mtc, jack, jack-bars, link, not 'me'.",
        ),
        ("stream", {"path": "c", "lead": "clock"}, "lead must be a list of clock, mtc, mmc, jack, link, not 'clock'."),
        ("stream", {"path": "c", "loop": "5 to 8"}, "loop must be bars from 1, such as 5-8, not '5 to 8'."),
        (
            "stream",
            {"path": "c", "latency": {"drums": "5"}},
            "latency must be a number from -10,000 to 10,000, or such by name",
        ),
        ("stream/control", {"mute.flute": True}, "no field 'mute.flute'"),
        ("stream/control", {"mute.drums": 1}, "mute.drums must be true or false, not 1."),
        ("stream/control", {"density": 16}, "density must be a whole number from -15 to 15, not 16."),
        ("stream/control", {"learn": "loop"}, "learn must be one of mute.drums, "),
        ("stop", {"now": True}, "no field 'now'"),
    ],
)
def test_a_field_that_is_missing_unknown_or_wrong_is_named(served: Served, path: str, body: object, said: str) -> None:
    status, _, answer = _ask(served, "POST", f"/v1/{path}", body)
    assert (status, answer["code"]) == (400, 2)
    assert said in answer["error"]
    assert answer["hint"]
    assert served.desk.asked == []


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("jobs?state=all", 400, "state must be one of"),
        ("jobs?limit=0", 400, "limit must be 1 to 1000"),
        ("jobs?limit=1001", 400, "limit must be 1 to 1000"),
        ("jobs?limit=", 400, "limit must be a whole number"),
        ("jobs?limit=1&limit=2", 400, "twice"),
        ("jobs?limit", 400, "cannot be read"),
        ("jobs?" + "&".join(f"a{index}=1" for index in range(99)), 400, "cannot be read"),
        ("jobs?Limit=1", 400, "no field 'Limit'"),
        ("jobs/one", 400, "id must be a whole number"),
        ("jobs/0", 400, "id must be"),
        ("jobs/99999999999999999999", 400, "id must be"),
        ("jobs/%FF", 400, "not valid UTF-8"),
        ("jobs/1/", 404, "nothing of this path"),
        ("jobs/7", 404, "no job 7"),
        ("takes", 400, "lacks 'path'"),
        ("takes?path=%FF", 400, "cannot be read"),
        ("takes?path=%00", 400, "path must be of the form"),
        ("diff?path=c&a=1", 400, "lacks 'b'"),
        ("diff?path=c&a=1&b=x", 400, "b must be a whole number"),
        ("stop?id=1", 405, "not done by this method"),
        ("", 404, "nothing of this path"),
        ("../status", 404, "nothing of this path"),
    ],
)
def test_a_path_or_query_that_cannot_be_used_is_refused(served: Served, path: str, status: int, said: str) -> None:
    got, _, answer = _ask(served, "GET", f"/v1/{path}")
    assert (got, answer["code"]) == (status, 2)
    assert said in answer["error"]


def test_half_of_a_character_is_refused_wherever_it_stands(served: Served) -> None:
    for path in ("takes?path=\udcff", "takes?path=%ED%A0%80", "jobs/\udcff", "takes?\udcff=1", "jobs?state=\udcff"):
        line = f"GET /v1/{path} HTTP/1.1"
        got = _raw(
            served, _head(served, "LINE", "Connection: close").replace(b"LINE", line.encode("utf-8", "surrogateescape"))
        )
        assert got[9:12] == b"400", got
        assert json.loads(got.partition(b"\r\n\r\n")[2])["code"] == 2
    for body in (
        b'{"path": "\\ud800"}',
        b'{"path": "c", "options": {"\\udfff": 1}}',
        b'{"path": "c", "options": {"a": "\\udc00"}}',
    ):
        assert "half of a character" in _ask(served, "POST", "/v1/score", body)[2]["error"]
    assert served.desk.asked == []


def test_a_video_name_may_be_a_number_or_long(served: Served) -> None:
    assert _ask(served, "GET", "/v1/takes?path=12")[2]["path"] == "12"
    assert _ask(served, "GET", "/v1/takes?path=a%20b%2B%C3%A4+c.mp4")[2]["path"] == "a b+ä c.mp4"
    long = "/".join(["🎬" * 60] * 67)
    assert _ask(served, "GET", f"/v1/takes?path={quote(long, safe='')}")[2]["path"] == long


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "GET"])
def test_a_wrong_method_is_refused_with_the_allowed_ones(served: Served, method: str) -> None:
    status, headers, _ = _ask(served, method, "/v1/score")
    assert (status, headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b'{"path": "c"} x',
        b'{"path": "c", "seed": NaN}',
        b'{"path": "c", "seed": Infinity}',
        b'{"path": "c", "seed": 1e999}',
        b'{"path": "c", "seed": ' + b"9" * 5000 + b"}",
        b'{"path": "c", "path": "d"}',
        b'{"path": "\\ud800"}',
        b'{"\\udfff": 1}',
        b'{"path": "\xff"}',
        b'\xef\xbb\xbf{"path": "c"}',
        '{"path": "c"}'.encode("utf-16"),
        b"[" * 60_000,
        b'{"path":' * 8_000,
    ],
)
def test_a_body_that_is_no_json_is_refused(served: Served, body: bytes) -> None:
    status, _, answer = _ask(served, "POST", "/v1/score", body)
    assert (status, answer["code"]) == (400, 2)
    assert served.desk.asked == []


def test_a_whole_number_may_be_written_with_a_point(served: Served) -> None:
    assert _ask(served, "POST", "/v1/score", b'{"path": "c", "variations": 4.0}')[0] == 202
    assert served.desk.asked == [("score", {"path": "c", "variations": 4})]


@pytest.mark.parametrize(
    "headers",
    [
        {"Content_Type": "text/plain"},
        {"Content_Type": None},
        {"Content_Type": "application/json; charset=utf-16"},
        {"Content_Encoding": "gzip"},
    ],
)
def test_a_body_of_another_kind_is_refused(served: Served, headers: dict[str, str | None]) -> None:
    assert _ask(served, "POST", "/v1/score", {"path": "c"}, **headers)[0] == 415


def test_a_body_that_is_too_long_is_refused(served: Served) -> None:
    assert _ask(served, "POST", "/v1/score", {"path": "c" * (1 << 17)})[0] == 413
    assert _ask(served, "POST", "/v1/stop", b" " * (1 << 17))[0] == 413
    chunks = b"".join(b"4000\r\n" + b" " * 0x4000 + b"\r\n" for _ in range(5)) + b"0\r\n\r\n"
    head = _head(
        served,
        "POST /v1/score HTTP/1.1",
        "Content-Type: application/json",
        "Transfer-Encoding: chunked",
        "Connection: close",
    )
    assert _raw(served, head + chunks).startswith(b"HTTP/1.1 413 ")
    assert served.desk.asked == []


# What is refused: paths.


@pytest.mark.parametrize(
    ("said", "path"),
    [
        ("clip.mp4", "clip.mp4"),
        ("./sub//clip.mp4", "sub/clip.mp4"),
        ("sub/../clip.mp4", "clip.mp4"),
        ("{folder}/sub/clip.mp4", "sub/clip.mp4"),
        ("link.mp4", "link.mp4"),
        ("out/{name}/clip.mp4", "clip.mp4"),
        ("new/not there.mp4", "new/not there.mp4"),
    ],
)
def test_a_path_is_told_from_the_folder(served: Served, folder: Path, said: str, path: str) -> None:
    said = said.format(folder=folder, name=folder.name)
    assert _ask(served, "POST", "/v1/score", {"path": said})[0] == 202
    assert served.desk.asked == [("score", {"path": path})]


@pytest.mark.parametrize(
    "said",
    ["..", "../clip.mp4", "/etc/passwd", "/", "out/clip.mp4", "out", "sub/../../x", "{folder}2/x", "~/../../x/../.."],
)
def test_a_path_that_leads_out_is_refused(served: Served, folder: Path, said: str) -> None:
    said = said.format(folder=folder)
    for field in ("path", "base"):
        status, _, answer = _ask(served, "POST", "/v1/regenerate", {"path": "clip.mp4", field: said})
        assert (status, answer["code"]) == (403, 2)
        assert "is not in" in answer["error"]
    assert served.desk.asked == []


# What is refused: whoever is not meant.


@pytest.mark.parametrize(
    "said", [None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic dDp0", "Bearer " + "t" * 42, "t" * 43, "Bearer ä"]
)
def test_without_the_token_nothing_is_told(served: Served, said: str | None) -> None:
    for operation in operations().values():
        path = operation.path.replace("{id}", "1")
        status, headers, answer = _ask(served, operation.method, path, Authorization=said)
        assert (status, answer["code"]) == (401, 2)
        assert headers["WWW-Authenticate"].startswith("Bearer")
    assert _ask(served, "GET", "/v1/nothing", Authorization=said)[0] == 401
    assert served.desk.asked == []


def test_two_tokens_are_none(served: Served) -> None:
    head = _head(served, "GET /v1/status HTTP/1.1", f"Authorization: Bearer {served.token}", "Connection: close")
    assert _raw(served, head).startswith(b"HTTP/1.1 4")
    assert served.desk.asked == []


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "LOCALHOST:{port}", "[::1]:{port}"])
def test_the_server_has_three_names(served: Served, host: str) -> None:
    assert _ask(served, "GET", "/v1/status", Host=host.format(port=served.port))[0] == 200


@pytest.mark.parametrize(
    "host", ["", "evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "127.0.0.1.evil.example:{port}"]
)
def test_another_name_is_refused(served: Served, host: str) -> None:
    assert _ask(served, "GET", "/v1/status", Host=host.format(port=served.port))[0] in (400, 421)
    assert served.desk.asked == []


def test_no_name_two_names_and_a_proxys_form_are_refused(served: Served) -> None:
    token = f"Authorization: Bearer {served.token}\r\nConnection: close\r\n\r\n"
    name = f"127.0.0.1:{served.port}"
    for head in (
        "GET /v1/status HTTP/1.0\r\n",
        f"GET /v1/status HTTP/1.1\r\nHost: {name}\r\nHost: {name}\r\n",
        f"GET http://evil.example/v1/status HTTP/1.1\r\nHost: {name}\r\n",
    ):
        assert _raw(served, (head + token).encode())[9:12] in (b"421", b"400")
    assert served.desk.asked == []


@pytest.mark.parametrize("origin", ["null", "http://evil.example", "https://127.0.0.1:{port}", "http://127.0.0.1", ""])
def test_web_pages_are_not_let_in(served: Served, origin: str) -> None:
    assert _ask(served, "GET", "/v1/status", Origin=origin.format(port=served.port))[0] == 403
    assert served.desk.asked == []


def test_a_page_of_this_server_itself_would_be(served: Served) -> None:
    assert _ask(served, "GET", "/v1/status", Origin=served.url)[0] == 200


# Sockets.


def _with_session(work: Callable[[aiohttp.ClientSession], Any]) -> Any:
    async def scene() -> Any:
        async with aiohttp.ClientSession() as session:
            return await asyncio.wait_for(work(session), 60)

    return asyncio.run(scene())


def test_a_socket_tells_the_status_and_then_what_happens(served: Served) -> None:
    async def scene(session: aiohttp.ClientSession) -> None:
        async with session.ws_connect(f"{served.url}/v1/events", headers=served.headers) as socket_:
            assert await socket_.receive_json() == {"event": "status", "status": {"folder": str(served.desk.folder)}}
            await socket_.send_str("anything")
            await socket_.send_bytes(b"\0")
            await asyncio.to_thread(_ask, served, "POST", "/v1/score", {"path": "clip.mp4"})
            heard = await socket_.receive_json()
            assert (heard["event"], heard["job"]["path"]) == ("job", "clip.mp4")

    _with_session(scene)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": ""}, 401),
        ({"Origin": "http://evil.example"}, 403),
        ({"Host": "evil.example"}, 421),
    ],
)
def test_a_socket_needs_what_every_request_needs(served: Served, headers: dict[str, str], status: int) -> None:
    async def scene(session: aiohttp.ClientSession) -> None:
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await session.ws_connect(f"{served.url}/v1/events", headers={**served.headers, **headers})
        assert caught.value.status == status

    _with_session(scene)
    assert served.desk.asked == []


def test_what_is_no_socket_is_told_so(served: Served) -> None:
    status, headers, _ = _ask(served, "GET", "/v1/events")
    assert (status, headers["Upgrade"]) == (426, "websocket")
    assert _ask(served, "GET", "/v1/events", Upgrade="websocket", Connection="Upgrade")[0] == 426


def test_a_client_that_sends_too_much_is_dropped(served: Served) -> None:
    async def scene(session: aiohttp.ClientSession) -> None:
        async with session.ws_connect(f"{served.url}/v1/events", headers=served.headers) as socket_:
            await socket_.receive_json()
            await socket_.send_str("x" * 10_000)
            message = await socket_.receive()
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, aiohttp.WSCloseCode.MESSAGE_TOO_BIG)

    _with_session(scene)


@pytest.mark.parametrize("text", [b"\xed\xa0\x80", b"\xff"])
def test_a_socket_with_half_a_character_is_closed(
    served: Served, caplog: pytest.LogCaptureFixture, text: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", served.port), timeout=30) as connection:
        connection.sendall(_upgrade(served))
        got = connection.recv(65536)
        while b"folder" not in got:  # the status
            got += connection.recv(65536)
        connection.sendall(b"\x81" + bytes([0x80 | len(text)]) + bytes(4) + text)  # a text, under a mask of zeros
        frame = connection.recv(65536)
        assert (frame[0], int.from_bytes(frame[2:4], "big")) == (0x88, aiohttp.WSCloseCode.INVALID_TEXT)
    assert caplog.text == ""
    assert _ask(served, "GET", "/v1/status")[0] == 200


def test_sockets_have_a_limit_and_become_free_again(served: Served) -> None:
    async def scene(session: aiohttp.ClientSession) -> None:
        async def connect() -> aiohttp.ClientWebSocketResponse:
            return await session.ws_connect(f"{served.url}/v1/events", headers=served.headers)

        open_ = [await connect() for _ in range(MOST_SOCKETS)]
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await connect()
        assert caught.value.status == 503
        await asyncio.gather(*(each.close() for each in open_))
        for _ in range(100):
            try:
                await (await connect()).close()
                return
            except aiohttp.WSServerHandshakeError:
                await asyncio.sleep(0.05)
        pytest.fail("no socket became free")

    _with_session(scene)


def test_a_client_that_reads_nothing_is_dropped(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_module, "PATIENCE", 1.0)
    with socket.create_connection(("127.0.0.1", served.port), timeout=30) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(_upgrade(served))
        assert connection.recv(1024).startswith(b"HTTP/1.1 101 ")
        many = MOST_WAITING // 2
        event = {"event": "job", "job": {"reason": "x" * 100_000}}

        def flood() -> None:
            for _ in range(many):
                served.desk.events.publish(event)

        async def quick(session: aiohttp.ClientSession) -> None:
            async with session.ws_connect(f"{served.url}/v1/events", headers=served.headers) as socket_:
                await socket_.receive_json()
                await asyncio.to_thread(served.call, flood)
                for _ in range(many):
                    assert await socket_.receive_json() == event
                assert (await asyncio.to_thread(_ask, served, "GET", "/v1/status"))[0] == 200

        _with_session(quick)
        assert served.call(lambda: len(served.server._sockets)) >= 1
        until = time.monotonic() + 30
        while served.call(lambda: len(served.server._sockets)) and time.monotonic() < until:
            time.sleep(0.1)
        assert served.call(lambda: len(served.server._sockets)) == 0


def test_a_client_that_lags_is_told_so(served: Served) -> None:
    async def scene(session: aiohttp.ClientSession) -> None:
        async with session.ws_connect(f"{served.url}/v1/events", headers=served.headers) as socket_:
            await socket_.receive_json()

            def flood() -> None:
                for _ in range(MOST_WAITING + 1):
                    served.desk.events.publish({"event": "job", "job": {}})

            await asyncio.to_thread(served.call, flood)
            assert await socket_.receive_json() == {"event": "lagged"}
            message = await socket_.receive()
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, aiohttp.WSCloseCode.TRY_AGAIN_LATER)

    _with_session(scene)


def test_the_end_closes_sockets_and_takes_no_time(folder: Path) -> None:
    with serve(folder) as served:

        async def scene(session: aiohttp.ClientSession) -> None:
            async with session.ws_connect(f"{served.url}/v1/events", headers=served.headers) as socket_:
                await socket_.receive_json()
                ending = asyncio.create_task(asyncio.to_thread(served.run, served.server.stop()))
                message = await socket_.receive()
                assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, aiohttp.WSCloseCode.GOING_AWAY)
                await ending

        silent = socket.create_connection(("127.0.0.1", served.port))
        deaf = socket.create_connection(("127.0.0.1", served.port))
        with silent, deaf:
            deaf.sendall(_upgrade(served))
            assert deaf.recv(1024).startswith(b"HTTP/1.1 101 ")
            begun = time.monotonic()
            _with_session(scene)
            assert time.monotonic() - begun < 20
        with pytest.raises(ConnectionError):
            _ask(served, "GET", "/v1/status")


# What is no HTTP, or too slow, or too much.


@pytest.mark.parametrize(
    "data",
    [
        b"\0" * 100,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
        b"GET\r\n\r\n",
        b"BREW / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nbroken header\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"H%d: a\r\n" % index for index in range(500)) + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: " + b"a" * 100_000 + b"\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused_in_json(served: Served, caplog: pytest.LogCaptureFixture, data: bytes) -> None:
    got = _raw(served, data + b"\r\n\r\n")
    assert got[9:12] == b"400"
    assert b"Server: cmt-bridge\r\n" in got
    assert set(json.loads(got.partition(b"\r\n\r\n")[2])) == {"error", "hint", "code"}
    assert caplog.text == ""
    assert _ask(served, "GET", "/v1/status")[0] == 200


def test_a_damaged_chunk_is_refused(served: Served) -> None:
    head = _head(
        served,
        "POST /v1/score HTTP/1.1",
        "Content-Type: application/json",
        "Transfer-Encoding: chunked",
        "Connection: close",
    )
    assert b" 400 " in _raw(served, head + b"zz\r\n{}\r\n")[:13]


def test_a_client_that_is_slow_is_let_go(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_module, "PATIENCE", 1.0)
    monkeypatch.setattr(http_module, "LINGERING", 0.5)
    with serve(folder) as served:
        assert _raw(served, b"") == b""
        with socket.create_connection(("127.0.0.1", served.port), timeout=30) as connection:
            begun = time.monotonic()
            try:
                for byte in _head(served, "GET /v1/status HTTP/1.1") * 2:
                    connection.sendall(bytes([byte]))
                    time.sleep(0.05)
                pytest.fail("a trickle was let in")
            except ConnectionError:
                assert time.monotonic() - begun < 30
        head = _head(served, "POST /v1/score HTTP/1.1", "Content-Type: application/json", "Content-Length: 9")
        assert _raw(served, head + b"{").startswith(b"HTTP/1.1 408 ")
        assert served.desk.asked == []


def test_a_thousand_connections_come_and_go(served: Served) -> None:
    descriptors = Path("/proc/self/fd")
    before = len(list(descriptors.iterdir())) if descriptors.exists() else 0
    for index in range(1000):
        with socket.create_connection(("127.0.0.1", served.port), timeout=30) as connection:
            if index % 2:
                connection.sendall(b"GET /v1/sta")
    until = time.monotonic() + 30
    while time.monotonic() < until:
        with socket.create_connection(("127.0.0.1", served.port), timeout=30) as connection:
            connection.sendall(_head(served, "GET /v1/status HTTP/1.1", "Connection: close"))
            if connection.recv(12) == b"HTTP/1.1 200":
                break
        time.sleep(0.05)
    assert _ask(served, "GET", "/v1/status")[0] == 200
    while descriptors.exists() and len(list(descriptors.iterdir())) > before and time.monotonic() < until:
        time.sleep(0.05)
    assert not descriptors.exists() or len(list(descriptors.iterdir())) <= before


def test_connections_have_a_limit(folder: Path) -> None:
    with serve(folder) as served:
        open_ = [socket.create_connection(("127.0.0.1", served.port), timeout=30) for _ in range(MOST_CONNECTIONS)]
        try:
            for connection in open_:
                connection.sendall(_head(served, "GET /v1/status HTTP/1.1"))
                assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
            refused = _raw(served, _head(served, "GET /v1/status HTTP/1.1", "Connection: close"))
            assert refused.startswith(b"HTTP/1.1 503 ")
            assert "Close one." in json.loads(refused.partition(b"\r\n\r\n")[2])["hint"]
        finally:
            for connection in open_:
                connection.close()
        until = time.monotonic() + 30
        while _raw(served, _head(served, "GET /v1/status HTTP/1.1", "Connection: close"))[9:12] != b"200":
            assert time.monotonic() < until
            time.sleep(0.05)


STRANGERS = {
    "silent": b"",
    "half a head": b"GET /v1/status HTTP/1.1\r\nHost: ",
    "a wrong token": b"GET /v1/status HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: Bearer wrong\r\n\r\n",
    "a body that does not come": b"POST /v1/score HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: 60000\r\n\r\n{",
    "a socket": b"GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
}


@pytest.mark.parametrize("kind", STRANGERS)
def test_strangers_take_no_room_from_who_has_the_token(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(access, "STRANGER_PATIENCE", 3600.0)
    monkeypatch.setattr(http_module, "PATIENCE", 3600.0)
    monkeypatch.setattr(access, "MOST_STRANGERS", MOST_CONNECTIONS + 6)
    said = STRANGERS[kind]
    with serve(folder) as served:
        strangers = []
        try:
            for _ in range(2 * MOST_CONNECTIONS):
                strangers.append(socket.create_connection(("127.0.0.1", served.port), timeout=30))
                strangers[-1].sendall(said % served.port if b"%" in said else said)
                assert served.call(lambda: len(_manager(served).strangers)) <= MOST_CONNECTIONS + 6
            assert _ask(served, "GET", "/v1/status")[0] == 200
            for stranger in strangers[:10]:  # the oldest are gone
                with suppress(ConnectionError):
                    while stranger.recv(65536):
                        pass
            assert _ask(served, "GET", "/v1/status")[0] == 200
        finally:
            for stranger in strangers:
                stranger.close()


def test_a_stranger_times_out_and_a_token_holder_stays(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "STRANGER_PATIENCE", 0.5)
    with serve(folder) as served, socket.create_connection(("127.0.0.1", served.port), timeout=30) as owner:
        owner.sendall(_head(served, "GET /v1/status HTTP/1.1"))
        assert owner.recv(65536).startswith(b"HTTP/1.1 200 ")
        for said in STRANGERS.values():
            got = _raw(served, said % served.port if b"%" in said else said)
            assert got[9:12] in (b"", b"401")
        owner.sendall(_head(served, "GET /v1/status HTTP/1.1"))
        assert owner.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert not served.call(lambda: len(_manager(served).strangers))


def test_a_crowd_of_strangers_does_not_keep_the_owner_out(folder: Path) -> None:
    with serve(folder) as served:
        crowd: list[socket.socket] = []
        ending = threading.Event()

        def come() -> None:
            while not ending.is_set():
                crowd.append(socket.create_connection(("127.0.0.1", served.port), timeout=30))
                if len(crowd) > 3 * MOST_STRANGERS:
                    crowd.pop(0).close()

        thread = threading.Thread(target=come)
        thread.start()
        try:
            for _ in range(20):
                assert _ask(served, "GET", "/v1/status")[0] == 200
        finally:
            ending.set()
            thread.join()
            for stranger in crowd:
                stranger.close()


@pytest.mark.parametrize("turns", range(6))
def test_who_comes_as_it_ends_is_not_left_open(folder: Path, turns: int) -> None:
    async def come_and_end() -> set[asyncio.Task[Any] | None]:
        server = HttpServer(MemoryDesk(folder), "t" * 43)
        with socket.create_connection(("127.0.0.1", await server.start()), timeout=30) as stranger:
            for _ in range(turns):
                await asyncio.sleep(0)
            await server.stop()
            left = asyncio.all_tasks() - {asyncio.current_task()}
            with suppress(ConnectionResetError):
                assert stranger.recv(1) == b""
        return left

    assert not asyncio.run(come_and_end())


def _manager(served: Served) -> Any:
    assert served.server._runner is not None
    return served.server._runner.server


def test_a_port_that_is_taken_is_named(served: Served, folder: Path) -> None:
    with pytest.raises(UsageError, match=f"port {served.port}"):
        asyncio.run(HttpServer(MemoryDesk(folder), "t", served.port).start())


def test_nothing_listens_but_on_this_machine(served: Served) -> None:
    runner = served.server._runner
    assert runner is not None
    assert [address[0] for address in runner.addresses] == ["127.0.0.1"]


# The document.


def test_the_document_is_valid() -> None:
    from openapi_spec_validator import validate

    validate(document())


def test_the_document_is_the_server(served: Served) -> None:
    paths = {(method.upper(), path) for path, item in document()["paths"].items() for method in item}
    assert paths == {(operation.method, operation.path) for operation in operations().values()}
    for operation in operations().values():
        status, _, answer = _ask(served, operation.method, operation.path.replace("{id}", "1"))
        assert status not in (405, 500), operation.name
        assert status != 404 or "no job" in answer["error"]
        assert {"400", "401", "403", "421", "500"} <= set(
            document()["paths"][operation.path][operation.method.lower()]["responses"]
        )


def test_the_document_says_what_osc_and_the_spool_need() -> None:
    for operation in operations().values():
        assert set(operation.osc or ()) <= operation.schema["properties"].keys()
        assert operation.repeatable or operation.method == "POST"
    posts = [each for each in operations().values() if each.method == "POST"]
    keyed, done_twice = ("score", "regenerate"), ("accept", "choose", "export")
    assert {each.name for each in posts if each.makes_a_job} == set(keyed)
    once = {each.name for each in posts if not each.repeatable}
    assert once == {*keyed, "reject", "undo", "redo", "stream"}
    assert once.isdisjoint(done_twice)


def test_the_checker_knows_every_word_that_requests_are_described_with() -> None:
    seen: set[str] = set()

    def walk(schema: Any) -> None:
        seen.update(schema)
        for each in schema.get("properties", {}).values():
            walk(each)
        for key in ("items", "additionalProperties"):
            if isinstance(schema.get(key), dict):
                walk(schema[key])
        if "$ref" in schema:
            walk(document()["components"]["schemas"][schema["$ref"].rpartition("/")[2]])

    for operation in operations().values():
        walk(operation.schema)
    assert seen == KNOWN_KEYWORDS


@pytest.mark.slow
def test_generated_requests_meet_the_api_document(served: Served) -> None:
    import schemathesis
    from hypothesis import HealthCheck, Phase, given, settings
    from schemathesis.specs.openapi.checks import negative_data_rejection

    schema = schemathesis.openapi.from_dict(json.loads(json.dumps(document())))
    count = 0
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path == "/v1/events":
            continue
        for mode in schemathesis.GenerationMode:
            strategy = operation.as_strategy(generation_mode=mode)

            @settings(
                max_examples=60,
                deadline=None,
                database=None,
                derandomize=True,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=strategy)
            def ask(case: Any) -> None:
                nonlocal count
                count += 1
                served.desk.table.clear()
                response = case.call(base_url=served.url, headers=served.headers)
                # It counts 413 and 421 as no refusals, and queries as wrong whose wrong part does not come to be sent.
                left_out = response.status_code in (413, 421) or case.method == "GET"
                case.validate_response(response, excluded_checks=[negative_data_rejection] if left_out else [])

            ask()
    logging.getLogger(__name__).info("%d requests", count)
    assert count > 1000


def test_the_server_needs_neither_numpy_nor_torch() -> None:
    code = (
        "import sys, cmt_bridge.service.daemon, cmt_bridge.service.client\n"
        "print(sorted({'numpy', 'torch', 'cv2', 'av'} & set(sys.modules)))"
    )
    got = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert got.stdout.strip() == "[]"
