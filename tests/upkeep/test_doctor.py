"""Why a run is not moving, and what is wrong around all of them."""

from __future__ import annotations

import time
from contextlib import contextmanager

import msgspec
import pytest

from kronos.app.doctor import Doctor, database
from kronos.app.doctor.explaining import RunEvidence, WorkerLine, explain
from kronos.app.doctor.pooling import look_for_pooler
from kronos.app.doctor.remark import shown_s
from kronos.core.events import Failure, StepFacts
from kronos.core.notes import Notes, Pause
from kronos.core.state import Run, StepState, StepStatus, new_run
from kronos.errors import NotFound
from kronos.kernel.ids import RunId
from tests.leader.pooler import TransactionPooler

NOW = 1_800_000_000 * 10**9
ALIVE = WorkerLine(7, "w7", "host", 1, 10.0, 1.0, 1, [])


class Within:
    """The transaction of a test, for whoever wants a connection."""

    def __init__(self, connection):
        self._connection = connection

    @contextmanager
    def connection(self):
        yield self._connection

    transaction = connection


@pytest.fixture
def doctor(owner, app, scene, tmp_path):
    return Doctor(scene.url, Within(owner), app.history, tmp_path)


def worker(owner, *, silent="0 s"):
    (incarnation,) = owner.execute(
        "INSERT INTO kronos.incarnations (name, host, pid, lease_ms) VALUES ('w', 'h', 1, 10000) RETURNING id"
    ).fetchone()
    owner.execute("INSERT INTO kronos.heartbeats VALUES (%s, kronos.now() - %s::interval)", (incarnation, silent))
    return incarnation


def first(remarks):
    return remarks[0].level, remarks[0].what


def test_a_run_that_is_over_says_how_it_ended(doctor, scene):
    assert first(doctor(scene.completed[0])) == ("ok", "it is completed; nothing more will happen")
    assert first(doctor(scene.failed)) == (
        "ok", "it is failed at step 'fails': ValueError: 1 is disliked; nothing more will happen"
    )  # fmt: skip


class TestNobodyOwnsIt:
    @pytest.fixture(autouse=True)
    def ready(self, owner, scene):
        owner.execute(
            "UPDATE kronos.runs SET wake_at = NULL, created_at = created_at - interval '1 hour' WHERE id = %s",
            (scene.pending,),
        )

    def test_no_worker_lives(self, doctor, scene):
        level, what = first(doctor(scene.pending))
        assert level == "bad"
        assert what.startswith("nobody owns it, and no worker lives that could claim it (texts 1 (")

    def test_workers_live_and_none_serves_it(self, doctor, owner, scene):
        worker(owner)
        level, what = first(doctor(scene.pending))
        assert level == "bad"
        assert what.startswith("workers live (w), none of which serves texts 1 (")

    def test_workers_serve_it_and_are_full(self, doctor, owner, scene):
        owner.execute(
            "INSERT INTO kronos.nodes (kind, name, host, pid, lease_ms, incarnation, definitions)"
            " SELECT 'worker', 'w', 'h', 1, 10000, %s, ARRAY[definition] FROM kronos.runs WHERE id = %s",
            (worker(owner), scene.pending),
        )
        assert first(doctor(scene.pending)) == (
            "note", "w serve it and have not claimed it: each has all the runs that it takes"
        )  # fmt: skip

    def test_a_silent_worker_counts_as_none(self, doctor, owner, scene):
        worker(owner, silent="1 min")
        assert "no worker lives" in doctor(scene.pending)[0].what

    def test_it_sleeps_until_a_time(self, doctor, owner, scene):
        owner.execute(
            "UPDATE kronos.runs SET wake_at = kronos.now() + interval '2 days', inbox_seen = inbox_n WHERE id = %s",
            (scene.pending,),
        )
        level, what = first(doctor(scene.pending))
        assert level == "note"
        assert what.startswith("it sleeps until 20")
        assert what.endswith(", 48 h from now")

    def test_it_sleeps_until_a_message_comes(self, doctor, owner, scene):
        owner.execute(
            "UPDATE kronos.runs SET wake_at = 'infinity', inbox_seen = inbox_n WHERE id = %s", (scene.pending,)
        )
        assert first(doctor(scene.pending)) == ("note", "it sleeps until a message comes")


class TestSomebodyOwnsIt:
    @pytest.fixture
    def own(self, owner, scene):
        def own(incarnation):
            owner.execute(
                "UPDATE kronos.runs SET owner = %s, phase = 'running' WHERE id = %s", (incarnation, scene.pending)
            )

        return own

    def test_who_lives(self, doctor, owner, scene, own):
        own(worker(owner))
        remarks = doctor(scene.pending)
        assert [(r.topic, r.level) for r in remarks] == [("owner", "ok"), ("inbox", "note")]
        assert remarks[1].what == "2 commands wait to be obeyed"

    def test_who_is_silent(self, doctor, owner, scene, own):
        own(worker(owner, silent="1 min"))
        level, what = first(doctor(scene.pending))
        assert level == "bad"
        assert "is silent since 60.0 s; its lease was 10 s" in what

    def test_who_is_dead(self, doctor, owner, scene, own):
        incarnation = worker(owner)
        own(incarnation)
        owner.execute("UPDATE kronos.incarnations SET dead_at = kronos.now() WHERE id = %s", (incarnation,))
        assert first(doctor(scene.pending)) == ("bad", f"its owner w (incarnation {incarnation}) is dead")


class TestItsStepsWaitInAQueue:
    @pytest.fixture(autouse=True)
    def queued(self, owner, scene):
        owner.execute(
            "UPDATE kronos.runs SET owner = %s, phase = 'running' WHERE id = %s", (worker(owner), scene.pending)
        )
        owner.execute(
            "INSERT INTO kronos.jobs (queue, target, input, priority, rank, due_at, keep_ms, run_id)"
            " SELECT 'gpu', 't', '[]', 5, 1, kronos.now() - interval '4 min', 1000, %s FROM generate_series(1, 2)",
            (scene.pending,),
        )

    def said(self, doctor, scene):
        (found,) = [remark for remark in doctor(scene.pending) if remark.topic == "queue"]
        return found.what, found.do

    def test_where_nobody_takes_them(self, doctor, scene):
        assert self.said(doctor, scene) == (
            "2 jobs for its steps wait in queue 'gpu' since 4 min",
            "start another worker that takes from this queue",
        )

    def test_that_is_paused(self, doctor, owner, scene):
        owner.execute("INSERT INTO kronos.queues (name, paused_at, paused_by) VALUES ('gpu', kronos.now(), 'ann')")
        assert self.said(doctor, scene)[0].endswith(", which is paused by ann")

    def test_whose_limit_is_reached(self, doctor, owner, scene):
        owner.execute("INSERT INTO kronos.queues (name, concurrency) VALUES ('gpu', 1)")
        owner.execute(
            "INSERT INTO kronos.jobs (queue, target, input, priority, rank, due_at, keep_ms, state, worker)"
            " VALUES ('gpu', 't', '{}', 5, 1, kronos.now(), 1000, 'running', 1)"
        )
        assert self.said(doctor, scene)[0].endswith(": its limit of 1 running jobs is reached")


ROW = RunEvidence("running", "flow", "1", "d" * 64, 7, "w7", False, 1.0, 10.0, False, None, 0, 0, NOW, 60.0)


def stepping(**steps):
    run = new_run(RunId("r"))
    for name, state in steps.items():
        run = msgspec.structs.replace(run, steps=run.steps.set(name, state))
    return run


def at(status, **facts):
    return StepState(status=status, attempt=2, facts=StepFacts(**facts))


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (at(StepStatus.RUNNING, started=NOW - 30 * 10**9, worker=7),
         ("note", "step 'long_text' runs since 30.0 s (attempt 2, incarnation 7)")),
        (at(StepStatus.RETRYING, retry_due=NOW, failure=Failure(type="ValueError", message="no")),
         ("note", "step 'long_text' tries again at 2027-01-15T08:00:00Z after ValueError: no")),
        (at(StepStatus.SCHEDULED, scheduled=NOW - 10**10), ("note", "step 'long_text' waits for a slot since 10.0 s")),
        (at(StepStatus.RUNNING, wait="timer", due=NOW),
         ("note", "step 'long_text' waits (timer) until 2027-01-15T08:00:00Z")),
        (at(StepStatus.RUNNING, wait="signal"), ("note", "step 'long_text' waits (signal)")),
    ],
)  # fmt: skip
def test_an_open_step_says_what_it_is_at(app, scene, state, said):
    graph = app.history.definition(app.history.run(scene.completed[0]).definition).graph
    found = explain(ROW, stepping(long_text=state), graph, [ALIVE])[-1]
    assert (found.level, found.what) == said


def test_a_step_beyond_its_limit_has_a_thread_that_does_not_end(app, scene):
    graph = app.history.definition(app.history.run(scene.completed[0]).definition).graph
    node = msgspec.structs.replace(
        graph.node("long_text"), options=msgspec.structs.replace(graph.node("long_text").options, timeout_s=5.0)
    )
    graph = msgspec.structs.replace(graph, nodes=(node,))
    found = explain(ROW, stepping(long_text=at(StepStatus.RUNNING, started=NOW - 30 * 10**9)), graph, [ALIVE])[-1]
    assert found.level == "bad"
    assert "longer than its limit of 5 s: its thread does not end" in found.what


def test_a_pause_is_named_first_with_who_and_why(app, scene):
    graph = app.history.definition(app.history.run(scene.completed[0]).definition).graph
    held = Notes(pause=Pause(by="ann", reason="the market is shut", at=NOW - 7200 * 10**9))
    run: Run = msgspec.structs.replace(new_run(RunId("r")), notes=held)
    assert first(explain(ROW, run, graph, [ALIVE])) == ("note", "it is held by ann since 2 h: the market is shut")


def test_an_unknown_run_is_not_found(doctor):
    with pytest.raises(NotFound, match="00000000-0000-7000-8000-000000000000"):
        doctor(RunId("00000000-0000-7000-8000-000000000000"))


class TestAround:
    def remarks(self, doctor, topic):
        return [remark for remark in doctor() if remark.topic == topic]

    def test_everything_that_can_be_wrong_is_looked_at(self, doctor):
        topics = [remark.topic for remark in doctor()]
        assert set(topics) >= {
            "server",
            "connections",
            "role",
            "worker",
            "partitions",
            "vacuum",
            "disk",
            "clock",
            "leader",
            "pooler",
        }

    def test_a_transaction_that_holds_old_rows_is_named_with_its_pid(self, app, monkeypatch, scene):
        import psycopg

        monkeypatch.setattr(database, "LONG_S", 0.0)
        with psycopg.connect(scene.url, application_name="forgotten") as holder:
            holder.execute("SELECT 'what it did last'")
            found = [r for r in self.remarks(app.doctor, "vacuum") if "forgotten" in r.what]
            (used,) = self.remarks(app.doctor, "connections")
            assert [r.level for r in found] == ["bad"]
            assert f"pg_terminate_backend({holder.info.backend_pid})" in found[0].do
            assert "what it did last" in found[0].what
            assert int(used.what.split()[0]) >= 2, "the connections of others are seen"

    def test_a_silent_worker_is_named(self, doctor, owner):
        worker(owner, silent="1 min")
        (found,) = self.remarks(doctor, "worker")
        assert found.level == "bad"
        assert "silent since 60.0 s" in found.what

    def test_missing_weeks_are_bad(self, doctor, owner):
        owner.execute("SET LOCAL kronos.now = '2040-01-04 12:00+00'")
        assert [(r.level, r.what) for r in self.remarks(doctor, "partitions")] == [
            ("bad", "class standard has partitions for 0 weeks ahead")
        ]

    def test_a_server_that_does_not_wait_for_its_disk_is_bad(self, doctor, owner):
        if owner.execute("SHOW fsync").fetchone() == ("on",):
            pytest.skip("DATABASE_URL names a server that waits for its disk")
        (found,) = self.remarks(doctor, "server")
        assert (found.level, "fsync and full_page_writes is off" in found.what) == ("bad", True)

    def test_a_server_that_may_lose_commits_is_bad(self, doctor, owner, disk):
        owner.execute("SET LOCAL synchronous_commit = off")
        while "fsync" in (found := self.remarks(doctor, "server")[0]).what:
            time.sleep(0.005)  # the doctor's own backend has not read the settings yet
        assert found.level == "bad"
        assert "synchronous_commit is off" in found.what

    def test_without_the_role_triggers_alone_hold_and_it_says_so(self, doctor, owner):
        owner.execute("ALTER ROLE kronos_runtime RENAME TO somebody_else")
        (found,) = self.remarks(doctor, "role")
        assert (found.level, "triggers alone" in found.what) == ("note", True)

    def test_a_pooler_in_transaction_mode_is_found(self, database_url):
        with TransactionPooler(database_url) as pooler:
            found = look_for_pooler(pooler.url)
        assert (found.level, "a pooler in transaction mode" in found.what) == ("bad", True)

    def test_a_full_disk_is_bad(self, doctor, monkeypatch):
        monkeypatch.setattr(database, "DISK_FREE_MIN", 2**60)
        (found,) = self.remarks(doctor, "disk")
        assert (found.level, found.do) == ("bad", "make room: a full disk stops every run")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (3.21, "3.2 s"), (119, "119.0 s"), (240, "4 min"), (7200, "2 h"), (5 * 86_400, "5 days")],
)
def test_lengths_of_time_are_said_as_people_say_them(seconds, text):
    assert shown_s(seconds) == text
