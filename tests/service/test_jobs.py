from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from time import monotonic

import pytest

from cmt_bridge.core.signature import FileSignature
from cmt_bridge.errors import OutputError, UsageError
from cmt_bridge.service import database
from cmt_bridge.service.jobs import KEPT_JOBS, MOST_TRIES, Found, Job, JobTable, Noted


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "state" / "jobs.db"


@pytest.fixture
def table(place: Path) -> Iterator[JobTable]:
    table = JobTable(place)
    yield table
    table.close()


def _added(table: JobTable, path: str, sha256: str) -> Job:
    job = table.add_score(path, sha256, {"seed": 7})
    assert job is not None
    return job


def test_a_job_is_shown_as_json(table: JobTable) -> None:
    job = _added(table, "sub/clip.mp4", "aa")
    assert (job.lane, len(job.key)) == ("batch", 32)
    assert job.to_json() == {
        "id": 1,
        "kind": "score",
        "path": "sub/clip.mp4",
        "state": "waiting",
        "stage": "",
        "share": 0.0,
        "tries": 0,
        "reason": "",
        "code": 0,
        "takes": [],
        "outcome": None,
        "request": {"seed": 7},
        "created": job.created,
        "ended": "",
    }
    assert job.created.endswith("Z")


def test_a_content_is_scored_once_ever(table: JobTable) -> None:
    job = _added(table, "a.mp4", "aa")
    assert table.add_score("b.mp4", "aa", {}) is None
    table.claim("batch")
    table.fail(job.id, "It is broken.")
    assert table.add_score("a.mp4", "aa", {}) is None
    assert table.is_taken("aa")


def test_a_person_may_ask_again(table: JobTable) -> None:
    _added(table, "a.mp4", "aa")
    first, second = (table.add("score", "live", "a.mp4", "aa", {}) for _ in range(2))
    assert first.id != second.id
    assert first.key != second.key


def test_a_content_whose_file_changed_meanwhile_may_be_scored_later(table: JobTable) -> None:
    job = _added(table, "a.mp4", "aa")
    table.claim("batch")
    assert table.fail(job.id, "It changed.", changed=True).state == "failed"
    assert table.add_score("a.mp4", "aa", {}) is not None


def test_a_waiting_job_follows_its_file(table: JobTable) -> None:
    job = _added(table, "a.mp4", "aa")
    assert table.add_score("b.mp4", "aa", {}, here={"a.mp4", "b.mp4"}) is None
    assert table.get(job.id) == job
    assert table.add_score("b.mp4", "aa", {}, here={"b.mp4"}) is None
    moved = table.claim("batch")
    assert moved is not None
    assert (moved.id, moved.path) == (job.id, "b.mp4")
    table.add_score("c.mp4", "aa", {}, here={"c.mp4"})
    assert table.get(job.id) == moved


def test_what_a_project_folder_holds_is_not_scored_again(table: JobTable) -> None:
    table.scored("aa", "a.mp4", "a.cmt")
    table.scored("aa", "a.mp4", "a.cmt")
    assert table.add_score("a.mp4", "aa", {}) is None
    waiting = _added(table, "b.mp4", "bb")
    table.scored("bb", "b.mp4", "b.cmt")
    job = table.get(waiting.id)
    assert job is not None
    assert (job.state, job.reason) == ("done", "Its score was found in b.cmt.")
    assert table.claim("batch") is None


def test_the_oldest_job_of_a_lane_comes_first(table: JobTable) -> None:
    first, second = _added(table, "a.mp4", "aa"), _added(table, "b.mp4", "bb")
    live = table.add("regenerate", "live", "a.mp4", "aa", {})
    claimed = [table.claim("batch"), table.claim("live"), table.claim("batch"), table.claim("batch")]
    assert [job and job.id for job in claimed] == [first.id, live.id, second.id, None]
    assert [(job.state, job.tries) for job in claimed if job] == [("running", 1)] * 3


def test_jobs_may_be_held_back(table: JobTable) -> None:
    first, second = _added(table, "a.mp4", "aa"), _added(table, "b.mp4", "bb")
    job = table.claim("batch", skip={first.id: None}.keys())
    assert job is not None
    assert job.id == second.id
    assert table.claim("batch", skip=[first.id]) is None


def test_a_failure_keeps_its_exit_code(table: JobTable) -> None:
    number = _added(table, "a.mp4", "aa").id
    assert table.fail(number, "It is broken.", code=3).code == 3
    again = table.add("score", "live", "a.mp4", "aa", {}).id
    assert table.fail(again, "It is broken.").code == 1


def test_a_job_goes_through_its_stages(table: JobTable) -> None:
    number = _added(table, "a.mp4", "aa").id
    assert table.progress(number, "measure", 0.5).stage == ""
    table.claim("batch")
    assert table.progress(number, "measure", 0.5).share == 0.5
    assert table.progress(number, "compose", 1.5) == table.get(number)
    job = table.finish(number, [1, 2], {"notes": 9})
    assert job.outcome == {"notes": 9}
    assert (job.state, job.stage, job.share, job.takes, job.ended != "") == ("done", "compose", 1.0, (1, 2), True)
    assert [table.cancel(number), table.fail(number, "no"), table.retry(number, "no")] == [job] * 3


def test_a_cancelled_job_does_not_end_twice(table: JobTable) -> None:
    number = _added(table, "a.mp4", "aa").id
    table.claim("batch")
    job = table.cancel(number)
    assert job.state == "cancelled"
    assert table.finish(number, [1]) == job


def test_a_retried_job_waits_until_its_tries_are_spent(table: JobTable) -> None:
    number = _added(table, "a.mp4", "aa").id
    states = []
    for _ in range(MOST_TRIES):
        table.claim("batch")
        states.append(table.retry(number, "The worker ended.", path="b.mp4").state)
    job = table.get(number)
    assert states == ["waiting", "waiting", "failed"]
    assert job is not None
    assert (job.reason, job.path) == ("The worker ended.", "b.mp4")


def test_a_job_that_is_given_back_was_not_tried(table: JobTable) -> None:
    number = _added(table, "a.mp4", "aa").id
    table.claim("batch")
    table.progress(number, "measure", 0.3)
    job = table.release(number, "The disk is full.")
    assert (job.state, job.stage, job.share, job.tries) == ("waiting", "", 0.0, 0)
    assert job.reason == "The disk is full."


def test_a_kill_costs_no_try(place: Path) -> None:
    for _ in range(MOST_TRIES + 1):
        table = JobTable(place)
        table.add_score("a.mp4", "aa", {})
        table.recover()
        assert [(job.state, job.tries) for job in table.list()] == [("waiting", 0)]
        table.claim("batch")
        table.close()


def test_an_unknown_number_is_refused(table: JobTable) -> None:
    assert table.get(9) is None
    with pytest.raises(UsageError, match="There is no job 9"):
        table.cancel(9)


def test_jobs_are_listed_and_counted(table: JobTable) -> None:
    for name in "abc":
        _added(table, f"{name}.mp4", name)
    table.claim("batch")
    assert [job.path for job in table.list()] == ["c.mp4", "b.mp4", "a.mp4"]
    assert [job.path for job in table.list("waiting", limit=1)] == ["c.mp4"]
    assert table.counts() == {"waiting": 2, "running": 1, "done": 0, "failed": 0, "cancelled": 0}


def test_a_thousand_jobs_are_added_at_once(table: JobTable) -> None:
    begun = monotonic()
    added = table.add_scores([Found(f"{number}.mp4", f"{number:064x}", {"seed": 1}) for number in range(1000)])
    took = monotonic() - begun
    assert [job.path for job in added] == [f"{number}.mp4" for number in range(1000)]
    assert table.add_scores([Found("again.mp4", f"{number:064x}", {}) for number in range(1000)]) == ()
    assert took < 5


def test_files_are_known_as_long_as_they_are_the_same(table: JobTable) -> None:
    table.note_files(
        [Noted("a.mp4", FileSignature(5, 10, 2**64 - 1, 9), "aa"), Noted("b\n ü.mp4", FileSignature(5, 10, 8), "aa")]
    )
    assert table.known("a.mp4", FileSignature(5, 10, 2**64 - 1, 9)) == "aa"
    assert table.known("a.mp4", FileSignature(6, 10, 2**64 - 1, 9)) is None
    assert table.known("a.mp4", FileSignature(5, 10, 2**64 - 1, 10)) is None
    assert table.known("c.mp4", FileSignature(5, 10, 7)) is None
    assert table.paths_of("aa") == ("a.mp4", "b\n ü.mp4")
    assert table.forget_files({"a.mp4"}) == ("b\n ü.mp4",)
    assert table.forget_files({"a.mp4"}) == ()
    assert table.paths_of("aa") == ("a.mp4",)


def test_old_jobs_of_people_are_forgotten_and_scores_are_not(table: JobTable) -> None:
    score = _added(table, "a.mp4", "aa")
    for _ in range(KEPT_JOBS + 3):
        table.cancel(table.add("score", "live", "a.mp4", "aa", {}).id)
    table.cancel(score.id)
    waiting = table.add("score", "live", "a.mp4", "aa", {})
    assert table.prune() == 3
    assert table.prune() == 0
    numbers = {job.id for job in table.list(limit=2000)}
    assert len(numbers) == KEPT_JOBS + 2
    assert {score.id, waiting.id} <= numbers


def test_all_is_there_after_the_table_was_closed(place: Path, table: JobTable) -> None:
    job = _added(table, "a.mp4", "aa")
    table.close()
    again = JobTable(place)
    assert again.get(job.id) == job
    assert again.notice == ""
    again.close()
    assert [path.name for path in place.parent.iterdir()] == ["jobs.db"]


LOOP = """
import sys
from pathlib import Path
from cmt_bridge.service.jobs import JobTable
table = JobTable(Path(sys.argv[1]))
for number in range(1_000_000):
    job = table.add_score(f"{sys.argv[2]}/{number}.mp4", f"{sys.argv[2]}/{number}", {})
    sys.stdout.write(f"{job.id} waiting\\n"), sys.stdout.flush()
    table.claim("batch")
    table.finish(job.id, [1])
    sys.stdout.write(f"{job.id} done\\n"), sys.stdout.flush()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="processes are killed in another way there")
def test_what_was_written_outlasts_a_kill(place: Path) -> None:
    for round_ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", LOOP, str(place), str(round_)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(20 + 7 * round_)]
        os.kill(process.pid, signal.SIGKILL)
        told += process.stdout.readlines()
        process.stdout.close()
        process.wait()
        table = JobTable(place)
        assert table.notice == ""
        for line in told:
            if line.endswith("done\n"):
                job = table.get(int(line.split()[0]))
                assert job is not None
                assert (job.state, job.takes, job.tries) == ("done", (1,), 1)
        assert len({int(line.split()[0]) for line in told} - {job.id for job in table.list(limit=100_000)}) == 0
        left = table.recover()
        assert len(left) <= 1
        assert all(job.state == "waiting" for job in left)
        for job in table.list("waiting"):
            table.cancel(job.id)
        table.close()


def test_a_kill_within_a_transaction_leaves_nothing_of_it(place: Path) -> None:
    half = (
        "import sys, os, signal; from pathlib import Path; from cmt_bridge.service.jobs import JobTable, Found\n"
        "def found():\n"
        "    yield Found('a.mp4', 'aa', {})\n"
        "    yield Found('b.mp4', 'bb', {})\n"
        "    os._exit(9)\n"
        "JobTable(Path(sys.argv[1])).add_scores(found())\n"
    )
    assert subprocess.run([sys.executable, "-c", half, str(place)], check=False).returncode == 9
    table = JobTable(place)
    assert table.list() == ()
    assert not table.is_taken("aa")
    table.close()


@pytest.mark.parametrize("damage", ["other", "torn", "cut"])
def test_a_damaged_table_is_set_aside(place: Path, damage: str) -> None:
    table = JobTable(place)
    table.add_scores([Found(f"{number}.mp4", f"{number:064x}", {}) for number in range(200)])
    table.close()
    whole = place.read_bytes()
    place.write_bytes(
        {"other": b"no database" * 99, "torn": b"\xff" * 9000 + whole[9000:], "cut": whole[:9000]}[damage]
    )
    damaged = place.read_bytes()
    table = JobTable(place)
    (aside,) = place.parent.glob("jobs damaged *.db")
    assert aside.read_bytes() == damaged
    assert table.notice == f"jobs.db was damaged; it was set aside as {aside.name} and a new one begun."
    assert table.list() == ()
    assert _added(table, "a.mp4", "aa").id == 1
    table.close()


def test_a_newer_table_is_refused_and_left_alone(place: Path) -> None:
    JobTable(place).close()
    connection = sqlite3.connect(place)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = place.read_bytes()
    with pytest.raises(OutputError, match="newer cmt-bridge") as caught:
        JobTable(place)
    assert caught.value.hint
    assert place.read_bytes() == before


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="Cannot use"):
        JobTable(tmp_path / "file" / "jobs.db")


BYSTANDER = "CREATE TABLE jobs (id INTEGER); INSERT INTO jobs VALUES (1)"


def _sql(place: Path, script: str) -> None:
    with closing(sqlite3.connect(place)) as connection:
        connection.executescript(script)


@pytest.mark.parametrize(
    "damage",
    [
        lambda place: place.mkdir(),
        lambda place: os.mkfifo(place),
        lambda place: place.symlink_to("nowhere"),
        lambda place: place.symlink_to(place.name),
        lambda place: (JobTable(place).close(), place.with_name("jobs.db-wal").mkdir()),
        lambda place: (JobTable(place).close(), os.mkfifo(place.with_name("jobs.db-shm"))),
        lambda place: _sql(place, BYSTANDER),
        lambda place: _sql(place, BYSTANDER + "; PRAGMA user_version = 1"),
        lambda place: (JobTable(place).close(), _sql(place, "PRAGMA user_version = -1")),
        lambda place: (JobTable(place).close(), _sql(place, "DROP TABLE contents")),
        lambda place: (JobTable(place).close(), _sql(place, "ALTER TABLE jobs DROP COLUMN code")),
    ],
)
def test_what_is_no_table_is_set_aside(place: Path, damage: Callable[[Path], object]) -> None:
    place.parent.mkdir()
    damage(place)
    table = JobTable(place)
    assert "was set aside as jobs damaged " in table.notice
    assert len([each for each in place.parent.iterdir() if each.name.startswith("jobs damaged ")]) >= 1
    assert _added(table, "a.mp4", "aa").id == 1
    table.close()


@pytest.mark.parametrize("companion", ["", "-wal"])
def test_nothing_and_nonsense_beside_it_are_no_damage(place: Path, companion: str) -> None:
    place.parent.mkdir()
    if companion:
        table = JobTable(place)
        _added(table, "a.mp4", "aa")
        table.close()
    place.with_name(f"jobs.db{companion}").write_bytes(b"nonsense" * 1000 if companion else b"")
    table = JobTable(place)
    assert table.notice == ""
    assert len(table.list()) == bool(companion)
    table.close()


def test_a_table_in_use_is_left_and_reported(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    JobTable(place).close()
    with closing(sqlite3.connect(place, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(OutputError, match="End the other program that has it open"):
            JobTable(place)
    assert [each.name for each in place.parent.iterdir()] == ["jobs.db"]


@pytest.mark.parametrize(
    "damage",
    [
        "request = 'no json'",
        "request = '[]'",
        "request = x'00ff'",
        "request = " + "replace(hex(zeroblob(50000)), '0', '[')",
        "takes = '{}'",
        "takes = '[\"x\"]'",
        "outcome = '3'",
        "outcome = '{'",
        "state = 'unheard of'",
        "state = x'ff'",
        "lane = 'none'",
        "kind = 'delete'",
        "path = '/etc/passwd'",
        "path = '../x.mp4'",
        "path = cast(x'ff2e6d7034' AS TEXT)",
        "path = x'612e6d7034'",
        "key = cast(x'ed' AS TEXT)",
        "tries = 'many'",
        "tries = -1",
        "code = 1.5",
        "created = x'00'",
    ],
)
def test_a_damaged_job_is_set_aside_and_its_clip_rescanned(place: Path, damage: str) -> None:
    table = JobTable(place)
    jobs = [_added(table, f"{name}.mp4", name * 2) for name in "abc"]
    table.claim("batch")
    table.close()
    _sql(place, f"UPDATE jobs SET {damage} WHERE id = 2")
    for again in (False, True):
        table = JobTable(place)
        assert table.notice == ("" if again else "1 damaged jobs were set aside in the table damaged_jobs: 2.")
        assert [job.id for job in table.recover()] == ([] if again else [1])
        assert [(job.id, job.path) for job in table.list()] == [(3, "c.mp4"), (1, "a.mp4")]
        assert not table.is_taken("bb")
        assert table.is_taken("aa")
        table.prune()
        table.counts()
        table.close()
    with closing(sqlite3.connect(place)) as connection:
        connection.text_factory = bytes
        assert [row[0] for row in connection.execute("SELECT id FROM damaged_jobs")] == [2]
    table = JobTable(place)
    assert _added(table, "b.mp4", "bb").id > jobs[2].id
    table.close()


def test_finished_content_is_not_scored_again_after_damage(place: Path) -> None:
    table = JobTable(place)
    for name in "abc":
        _added(table, f"{name}.mp4", name * 2)
    table.cancel(1)
    table.close()
    _sql(
        place,
        "UPDATE jobs SET takes = 'x'; DELETE FROM jobs WHERE id = 3; INSERT INTO files VALUES (x'00', 'a', 'b');"
        "INSERT INTO contents VALUES (x'01', NULL, ''); UPDATE contents SET job = 'x' WHERE sha256 = 'bb'",
    )
    table = JobTable(place)
    assert [table.is_taken(name * 2) for name in "abc"] == [True, False, False]
    assert table.forget_files([]) == ()
    assert table.add_score("a.mp4", "aa", {}, here=["a.mp4"]) is None
    table.close()


def test_whatever_bytes_are_damaged_the_table_can_be_used(place: Path, tmp_path: Path) -> None:
    table = JobTable(place)
    for number in range(60):
        job = _added(table, f"{number}.mp4", f"{number:064x}")
        table.note_files([Noted(job.path, FileSignature(1, 2, 3), job.sha256)])
        if number % 3:
            table.claim("batch")
            table.finish(number // 3 + 1, [1], {"takes": [{"take": 1}]})
    files = {name: place.with_name(name).read_bytes() for name in ("jobs.db", "jobs.db-wal", "jobs.db-shm")}
    table.close()
    files["folded"] = place.read_bytes()
    aside = 0
    for seed in range(int(os.environ.get("FUZZ_ROUNDS", "60"))):
        dice = random.Random(seed)
        here = tmp_path / str(seed) / "jobs.db"
        here.parent.mkdir()
        kept = {"jobs.db": files["folded"]} if seed % 2 else {name: files[name] for name in ("jobs.db", "jobs.db-wal")}
        for name, whole in kept.items():
            data = bytearray(whole)
            for _ in range(dice.randrange(0, 9)):
                at = dice.choice((dice.randrange(100), dice.randrange(len(data) or 1)))
                data[at : at + dice.choice((1, 1, 4, 600))] = dice.randbytes(dice.choice((0, 1, 1, 4)))
            here.with_name(name).write_bytes(data[: dice.randrange(len(data) + 1)] if dice.random() < 0.2 else data)
        refused = ""
        try:
            again = JobTable(here)
        except OutputError as error:
            refused = str(error)
        if refused:  # a version that is damaged is as good as a newer one
            assert "newer cmt-bridge" in refused, f"seed {seed}"
            continue
        aside += bool(again.notice)
        again.recover()
        again.prune()
        for job in again.list(None, -1):
            assert job == again.get(job.id)
            again.paths_of(job.sha256)
            again.failure(job.sha256)
        again.forget_files([])
        found = again.add_score("new.mp4", f"new {seed}", {})
        assert found is not None
        assert again.claim("batch") is not None
        again.close()
        shutil.rmtree(here.parent)
    assert aside > 10


def test_a_table_that_is_deleted_or_replaced_is_written_again(place: Path) -> None:
    table = JobTable(place)
    _added(table, "a.mp4", "aa")
    assert table.mend() == ""
    for number, loss in enumerate(("delete", "delete all", "replace", "rename")):
        match loss:
            case "delete":
                place.unlink()
            case "delete all":
                shutil.rmtree(place.parent)
                place.parent.mkdir()
            case "replace":
                place.unlink()
                place.write_text("mine")
            case "rename":
                place.rename(place.with_name("elsewhere.db"))
        _added(table, f"{number}.mp4", f"{number}")
        assert table.mend().startswith("jobs.db was deleted or replaced; it is there again")
        assert table.mend() == ""
        _added(table, f"{number} b.mp4", f"{number} b")
        assert [each.read_text() for each in place.parent.glob("jobs replaced *.db")] == ["mine"] * (number > 1)
    table.close()
    table = JobTable(place)
    assert len(table.list()) == 9
    assert table.notice == ""
    table.close()
