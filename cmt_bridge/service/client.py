"""Client: how the command line reaches the daemon that watches a path, and follows a job there.

A request that fails raises the error that the command line alone would have raised: the same sentence, hint and exit
code. The environment's proxies are never asked: what is meant for this machine stays on it.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from cmt_bridge.errors import CmtBridgeError
from cmt_bridge.service.instance import HOST, Instance, instance_for, instances
from cmt_bridge.service.openapi import operations

__all__ = ["Client", "Progress"]

Progress = Callable[[str, float], None]
"""Called with the stage of a job and the share of it that is done, 0..1."""

PATIENCE = 60.0  # s, for an answer; a daemon gives it in milliseconds, if its disk does
START_PATIENCE = 10.0  # s, for a daemon that starts
STOP_PATIENCE = 30.0  # s, for one to end
PAUSE = 0.1  # s
HEARTBEAT = 30.0  # s
MOST_RETRIES = 3  # of a socket that closes while the daemon lives
MOST_MESSAGE = 1 << 22
ENDED = ("done", "failed", "cancelled")
GOING_AWAY = 1001


class Client:
    """A daemon, as a program of the same user reaches it."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self._token = instance.token()

    def events(self, session: Any) -> Any:
        """Connect to the daemon's events, in an aiohttp session; to be used with `async with`."""
        return session.ws_connect(
            f"http://{HOST}:{self.instance.port}/v1/events",
            headers={"Authorization": f"Bearer {self._token}"},
            max_msg_size=MOST_MESSAGE,
            heartbeat=HEARTBEAT,
        )

    @classmethod
    def for_path(cls, path: Path) -> Client | None:
        """Return a client of the daemon whose folder holds `path`; None where none lives that answers.

        One that starts just now is waited for, for some seconds.
        """
        path = Path(path)
        until = time.monotonic() + START_PATIENCE
        while (instance := instance_for(path)) is not None and time.monotonic() < until:
            if instance.port:
                with suppress(CmtBridgeError):
                    client = cls(instance)
                    client.ask("status")
                    return client
            time.sleep(PAUSE)
        return None

    def ask(self, operation: str, fields: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Ask for an operation of openapi.json, with its fields by name; return the answer.

        Raises the error that the daemon met, and `CmtBridgeError` where it does not answer.
        """
        found, fields = operations()[operation], fields or {}
        route = found.path.format_map({name: quote(str(value), safe="") for name, value in fields.items()})
        rest = {name: value for name, value in fields.items() if f"{{{name}}}" not in found.path}
        return self.request(found.method, route, *((None, rest) if found.body is None else (rest, None)))

    def request(
        self, method: str, route: str, body: Mapping[str, Any] | None = None, query: Mapping[str, object] | None = None
    ) -> dict[str, Any]:
        """Ask for something by its route; return the answer. Raises the error that the daemon met."""
        target = f"{route}?{urlencode(query)}" if query else route
        headers = {"Authorization": f"Bearer {self._token}"}
        data = None
        if body is not None:
            data = json.dumps(body)
            headers["Content-Type"] = "application/json"
        connection = http.client.HTTPConnection(HOST, self.instance.port, timeout=PATIENCE)
        try:
            connection.request(method, target, data, headers)
            response = connection.getresponse()
            answer = json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self._silent(str(error) or type(error).__name__) from error
        finally:
            connection.close()
        if response.status >= 400:
            raise _error(answer)
        return dict(answer)

    def stop(self) -> None:
        """End the daemon, and wait until it has ended. Raises `CmtBridgeError` where it does not."""
        self.ask("stop")
        until = time.monotonic() + STOP_PATIENCE
        while any(other.pid == self.instance.pid for other in instances()):
            if time.monotonic() > until:
                raise CmtBridgeError(
                    f"The daemon that watches {self.instance.folder} does not end.",
                    hint=f"End its process, {self.instance.pid}.",
                )
            time.sleep(PAUSE)

    def follow(self, number: int, progress: Progress) -> dict[str, Any]:
        """Wait until a job has ended, and return it; `progress` hears how far it is.

        Ctrl-C cancels the job: who asks for something and takes it back does not want it. Raises `KeyboardInterrupt`
        then, with a sentence that says so, and `CmtBridgeError` where the daemon ends before the job.
        """
        try:
            return asyncio.run(self._follow(number, progress))
        except KeyboardInterrupt:
            try:
                self.ask("cancel", {"id": number})
            except CmtBridgeError as error:
                raise KeyboardInterrupt(f"Job {number} could not be cancelled: {error}") from None
            raise KeyboardInterrupt(f"Job {number} was cancelled.") from None

    async def _follow(self, number: int, progress: Progress) -> dict[str, Any]:
        import aiohttp

        retries = 0
        async with aiohttp.ClientSession(trust_env=False) as session:
            while True:
                try:
                    job, code = await self._hear(session, number, progress)
                except aiohttp.WSServerHandshakeError as error:
                    raise self._silent(f"status {error.status}") from error
                except (aiohttp.ClientError, TimeoutError, OSError) as error:
                    raise self._ended(number) from error
                if job is not None:
                    return job
                retries += 1
                if code == GOING_AWAY or retries > MOST_RETRIES:
                    raise self._ended(number)
                await asyncio.sleep(PAUSE)

    async def _hear(self, session: Any, number: int, progress: Progress) -> tuple[dict[str, Any] | None, int | None]:
        """Listen to one socket until the job has ended, or else the socket; return the job, or why it closed."""
        async with self.events(session) as socket:
            await socket.receive_json()  # from here on nothing is missed, so the job as it is now is asked for
            job = await asyncio.to_thread(self.ask, "job", {"id": number})
            told = None
            while job["state"] not in ENDED:
                now = job["stage"], job["share"]
                if job["state"] == "running" and now != told:
                    progress(*now)
                    told = now
                message = await socket.receive()
                if not isinstance(message.data, str):
                    return None, socket.close_code
                event = json.loads(message.data)
                if event["event"] == "job" and event["job"]["id"] == number:
                    job = event["job"]
                elif event["event"] == "progress" and event["id"] == number:
                    job = {**job, "state": "running", "stage": event["stage"], "share": event["share"]}
            return job, None

    def _silent(self, reason: str) -> CmtBridgeError:
        folder = self.instance.folder
        return CmtBridgeError(
            f"The daemon that watches {folder} does not answer: {reason}.",
            hint=f"Start it again: cmt-bridge daemon start {folder}.",
        )

    def _ended(self, number: int) -> CmtBridgeError:
        folder = self.instance.folder
        return CmtBridgeError(
            f"The daemon that watches {folder} ended before job {number} did.",
            hint=f"The job goes on when it is started again: cmt-bridge daemon start {folder}.",
        )


def _error(answer: Any) -> CmtBridgeError:
    try:
        return CmtBridgeError.from_json(answer)
    except (KeyError, TypeError, ValueError, AttributeError):
        return CmtBridgeError("The daemon's answer cannot be read.", hint="Start it again.")
