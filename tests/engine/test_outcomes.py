"""The outcome of an attempt that ended elsewhere: it arrives in the inbox, and the owner makes it history."""

from __future__ import annotations

import threading
import time

import msgspec

from kronos import StepContext, step, workflow
from kronos.core.events import Failure
from kronos.core.state import Phase
from kronos.engine.outcomes import outcome_body, outcome_id, read_outcome
from kronos.engine.tasks import Outcome
from kronos.kernel.ids import IncarnationId
from tests.engine.conftest import facts, kinds

ELSEWHERE = IncarnationId(4711)


class Scene:
    """Two steps in a row; the first waits for the gate, the second doubles what the first gave."""

    def __init__(self) -> None:
        gate = self.gate = threading.Event()
        begun = self.begun = threading.Event()
        ran = self.ran = list[str]()

        @step
        def slow(ctx: StepContext) -> int:
            ran.append("slow")
            begun.set()
            gate.wait(20)
            return 1

        @step
        def double(number: int) -> int:
            ran.append("double")
            return 2 * number

        @workflow(version="1")
        def waits_elsewhere() -> int:
            return double(slow())

        self.workflow = waits_elsewhere


def send(app, run_id, outcome, *, attempt=1):
    body = outcome_body("slow", attempt, outcome, worker=ELSEWHERE)
    return app._submission.send(run_id, "outcome", body, command_id=outcome_id(run_id, "slow", attempt))


def done(value=21):
    now = time.time_ns()
    return Outcome(msgspec.json.encode(value), None, (), now - 5, now)


def test_an_outcome_from_elsewhere_is_recorded_like_one_of_our_own(make_engine):
    scene = Scene()
    engine = make_engine(scene.workflow)
    run_id = engine.start(scene.workflow, {}).run_id
    assert scene.begun.wait(10)
    assert send(engine.app, run_id, done())
    assert engine.app.wait(run_id, 10).output == b"42"
    scene.gate.set()
    assert kinds(engine.app, run_id, "slow").count("step_completed") == 1
    engine.app.history.verify(run_id)


def test_an_outcome_sent_twice_is_recorded_once_and_one_that_nobody_awaits_becomes_nothing(make_engine):
    scene = Scene()
    engine = make_engine(scene.workflow)
    run_id = engine.start(scene.workflow, {}).run_id
    assert scene.begun.wait(10)
    assert send(engine.app, run_id, done(1000), attempt=2)
    assert send(engine.app, run_id, done())
    send(engine.app, run_id, done())
    assert engine.app.wait(run_id, 10).output == b"42"
    scene.gate.set()


def test_a_failure_from_elsewhere_fails_the_run_with_its_words(make_engine):
    scene = Scene()
    engine = make_engine(scene.workflow)
    run_id = engine.start(scene.workflow, {}).run_id
    assert scene.begun.wait(10)
    now = time.time_ns()
    send(engine.app, run_id, Outcome(None, Failure(type="Far", message="away"), (), now, now))
    run = engine.app.wait(run_id, 10)
    scene.gate.set()
    assert (run.phase, run.failed_step, run.failure.message) == (Phase.FAILED, "slow", "away")


def test_an_outcome_in_the_inbox_comes_before_the_loss_of_its_attempt_when_a_run_changes_hands(make_engine):
    scene = Scene()
    engine = make_engine(scene.workflow)
    run_id = engine.start(scene.workflow, {}).run_id
    assert scene.begun.wait(10)
    until = time.monotonic() + 5
    while "step_started" not in kinds(engine.app, run_id, "slow") and time.monotonic() < until:
        time.sleep(0.01)
    engine.close(0)
    again = make_engine()
    assert send(again.app, run_id, done())
    again.app.serve(scene.workflow)
    assert again.app.wait(run_id, 10).output == b"42"
    scene.gate.set()
    assert scene.ran == ["slow", "double"]
    ended = [event for event in facts(again.app, run_id) if event.kind == "step_completed" and event.step == "slow"]
    assert [event.attempt for event in ended] == [1]
    assert "step_retried" not in kinds(again.app, run_id, "slow")
    again.app.history.verify(run_id)


def test_a_result_of_null_is_not_the_absence_of_a_result():
    now = time.time_ns()
    sent = read_outcome(outcome_body("s", 1, Outcome(b"null", None, (), now, now), worker=ELSEWHERE))
    assert sent.outcome == Outcome(b"null", None, (), now, now)
