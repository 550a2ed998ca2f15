"""Carry a request out: by the daemon that watches the folder, if there is one, by ourselves else."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmt_bridge.errors import CmtBridgeError

if TYPE_CHECKING:
    from cmt_bridge.scoring.outcome import Outcome, Told
    from cmt_bridge.scoring.regenerate import RegenerateRequest
    from cmt_bridge.scoring.score import ScoreRequest
    from cmt_bridge.service.client import Client

__all__ = ["carried"]


def carried(request: ScoreRequest | RegenerateRequest, told: Told) -> Outcome:
    """Carry out a request and give what it came to; the result is the same, whoever did it."""
    from cmt_bridge.scoring.regenerate import regenerate
    from cmt_bridge.scoring.score import ScoreRequest, score

    client = _client(request)
    if client is not None:
        return _asked(client, request, told)
    if isinstance(request, ScoreRequest):
        return score(request, told)
    return regenerate(request, told)


def _client(request: ScoreRequest | RegenerateRequest) -> Client | None:
    """Give the daemon that can do it: a folder of one's own choice is not its business, nor a file from elsewhere."""
    from cmt_bridge.service.instance import instance_for

    elsewhere = request.output or getattr(request, "home", None)
    if elsewhere is not None or not request.path.exists() or instance_for(request.path) is None:
        return None
    from cmt_bridge.service.client import Client

    client = Client.for_path(request.path)
    base = getattr(request, "base", None)
    if client is None or (base is not None and not _is_in(base, client.instance.folder)):
        return None
    return client


def _is_in(path: Path, folder: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _asked(client: Client, request: ScoreRequest | RegenerateRequest, told: Told) -> Outcome:
    from cmt_bridge.scoring.outcome import Outcome
    from cmt_bridge.scoring.score import ScoreRequest

    body: dict[str, Any]
    if isinstance(request, ScoreRequest):
        settings = dict(request.settings)
        if "model" in settings:
            settings["model"] = _anywhere(settings["model"])
        body = {"path": str(request.path.absolute()), "options": settings}
        job = client.ask("score", body)
    else:
        base = request.base.absolute() if request.base is not None else None
        model = _anywhere(request.model) if request.model is not None else None
        body = replace(request, path=request.path.absolute(), base=base, model=model).to_json()
        job = client.ask("regenerate", body)
    job = client.follow(int(job["id"]), told)
    if job["state"] != "done":
        raise _failure(job, request.path)
    return Outcome.from_json(job["outcome"])


def _failure(job: dict[str, Any], path: Path) -> CmtBridgeError:
    """Give the error that the job ended with, as it would have come without a daemon."""
    reason = str(job["reason"]).replace(str(path.absolute()), str(path))
    return CmtBridgeError.from_json({"code": job["code"], "error": reason or f"Job {job['id']} was cancelled."})


def _anywhere(model: str) -> str:
    """Give the name of a model, or the path of its weights as it is called from every folder."""
    return str(Path(model).absolute()) if Path(model).is_file() else model
