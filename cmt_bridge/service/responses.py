"""Responses of the control API: JSON, and errors with the status of their door."""

from __future__ import annotations

import json
from typing import Any, Final

from aiohttp import web

from cmt_bridge.errors import CmtBridgeError, InputError, MissingError, OutputError, UsageError
from cmt_bridge.service.dispatch import RefusedError

__all__ = ["HEADERS", "json_response", "refusal"]

HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Server": "cmt-bridge"}


def _status(error: CmtBridgeError) -> int:
    match error:
        case RefusedError():
            return error.status
        case UsageError():
            return 400
        case InputError():
            return 422
        case MissingError():
            return 424
        case OutputError():
            return 507
        case _:
            return 500


def refusal(error: CmtBridgeError) -> web.Response:
    """Return the response to a request that met an error: its JSON, and the status of its door."""
    response = json_response(_status(error), error.to_json())
    if isinstance(error, RefusedError):
        response.headers.update(error.headers)
    return response


def json_response(status: int, data: Any) -> web.Response:
    """Return JSON in ASCII, so that a name on disk that is no UTF-8 can be told too."""
    body = json.dumps(data, allow_nan=False).encode("ascii")
    return web.Response(status=status, body=body, content_type="application/json", headers=HEADERS)
