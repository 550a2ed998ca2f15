from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cmt_bridge.service.logs import begin, last_lines


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    logger = logging.getLogger("cmt_bridge")
    before, level = list(logger.handlers), logger.level
    yield logger
    for handler in set(logger.handlers) - set(before):
        handler.close()
        logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.mark.parametrize("loss", ["deleted", "moved away", "its folder too"])
def test_a_log_goes_on_where_its_file_is_gone(
    tmp_path: Path, logger: logging.Logger, capsys: pytest.CaptureFixture[str], loss: str
) -> None:
    path = tmp_path / "state" / "daemon.log"
    begin(path)
    logger.info("one")
    match loss:
        case "deleted":
            path.unlink()
        case "moved away":
            path.rename(path.with_name("old.log"))
        case _:
            shutil.rmtree(path.parent)
            logger.info("nobody can write this")
            path.parent.mkdir()
    logger.info("two")
    assert [line.split()[-1] for line in last_lines(path, 9)] == ["two"]
    assert capsys.readouterr().err == ""
