"""Workers that are killed in the middle of jobs: nothing is lost, nothing has a second outcome, both nodes work."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from kronos.app import Kronos
from kronos.core.jobs import JobState
from kronos.ports.jobbook import JobFilter
from tests.jobs import work

JOBS = 400
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def make_worker(database_url, tmp_path):
    made = []

    def make(**settings):
        environment = {
            **os.environ,
            "DATABASE_URL": database_url,
            "KRONOS_DATA_DIR": str(tmp_path),
            "KRONOS_LEASE": "1s",
            "WORKER_CONCURRENCY": "4",
            **settings,
        }
        command = [sys.executable, "-m", "tests.jobs.worker"]
        made.append(subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE))
        return made[-1]

    yield make
    for process in made:
        process.kill()
        process.wait()
        process.stdin.close()


def lines(path):
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def until(condition, seconds=30.0):
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it did not come to that in time"
        time.sleep(0.01)


def test_jobs_survive_the_killing_of_their_worker_and_both_nodes_share_them(database_url, tmp_path, make_worker):
    path = tmp_path / "lines"
    with Kronos.open(database_url=database_url, data_dir=tmp_path, workflows=[work.append_line]) as app:
        ids = app.jobs.submit_many(work.append_line, [{"path": str(path), "number": n} for n in range(JOBS)])
        first = make_worker()
        second = make_worker()
        until(lambda: len({pid for _, pid in lines(path)}) == 2 and len(lines(path)) > 60)
        first.kill()
        until(lambda: not app.jobs.list(JobFilter(states=(JobState.PENDING, JobState.RUNNING), limit=1)))
        jobs = app.jobs.list(JobFilter(limit=JOBS))[::-1]
        assert [job.id for job in jobs] == ids
        assert {job.state for job in jobs} == {JobState.COMPLETED}
        assert [job.output for job in jobs] == [str(n).encode() for n in range(JOBS)]
        ran = Counter(number for number, _ in lines(path))
        assert set(ran) == {str(n) for n in range(JOBS)}
        lost = {str(n) for n, job in enumerate(jobs) if job.losses}
        assert {number for number, count in ran.items() if count > 1} <= lost
        shares = Counter(pid for _, pid in lines(path))
        assert set(shares) == {str(first.pid), str(second.pid)}


def test_a_job_that_kills_its_worker_is_dead_after_the_third_time(database_url, tmp_path, make_worker):
    path = tmp_path / "killed"
    with Kronos.open(database_url=database_url, data_dir=tmp_path, workflows=[work.kill_the_process]) as app:
        job_id = app.jobs.submit(work.kill_the_process, {"path": str(path)})
        innocent = app.jobs.submit(work.append_line, {"path": str(tmp_path / "lines"), "number": 1}, delay="1ms")
        for _ in range(2):
            worker = make_worker()
            assert worker.wait(20) == -9
        make_worker()
        job = app.jobs.wait(job_id, 30)
        assert (job.state, job.losses) == (JobState.DEAD, 2)
        killed = [pid for (pid,) in lines(path)]
        assert len(killed) == len(set(killed)) == 3
        assert app.jobs.wait(innocent, 30).state is JobState.COMPLETED
