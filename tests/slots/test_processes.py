"""A process slot takes nothing down with it, and nothing of ours leaks into it."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kronos.core.decorators import step
from kronos.engine.context import StepContext
from kronos.engine.effects import RecordedEffects
from kronos.errors import NotFound
from kronos.kernel.hashing import content_hash
from kronos.ports import DatasetRow


class Result(msgspec.Struct):
    pid: int
    environment: list[str]


@step(executor="process")
def look() -> Result:
    print("user output on standard output is not the protocol")
    return Result(os.getpid(), sorted(os.environ))


@step(executor="process")
def sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


@step(executor="process")
def spin() -> int:
    while True:
        pass


@step(executor="process")
def segfault() -> int:
    return ctypes.string_at(0)[0]


@step(executor="process")
def leave(code: int) -> int:
    os._exit(code)


@step(executor="process")
def fail() -> int:
    raise ValueError("in the child")


@step(executor="process")
def start_grandchild(path: str) -> int:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(path).write_text(str(child.pid))
    time.sleep(600)
    return 1


@step(executor="process")
def use_context(ctx: StepContext) -> dict[str, Any]:
    ctx.progress(1, 4)
    ctx.log("half way", row=2)
    ctx.recorder.segment(first_row=0, last_row=1, core_chain=b"c", user_chain=b"u", data=b"s")
    ctx.recorder.checkpoint(row=2, data=b"state")
    blob = ctx.blobs.put(b"bytes")
    try:
        ctx.blobs.get("missing")
    except NotFound as error:
        missing = error.message
    return {
        "blob": ctx.blobs.get(blob).decode(),
        "missing": missing,
        "now": ctx.now(),
        "uuid": ctx.uuid(),
        "random": ctx.random.random(),
        "dataset": ctx.datasets.find("btc"),
        "attempt": ctx.attempt,
    }


@step(executor="process")
def ask_for_recorder(ctx: StepContext) -> None:
    ctx.recorder.checkpoint(row=0, data=b"")


class Catalog:
    def __init__(self, *, blobs: Any, index: Any, folder: str) -> None:
        self.index, self.folder = index, folder

    def find(self, name: str) -> str:
        return f"{self.folder}/{self.index.find(name).rows}"


class Index:
    def find(self, name_or_id: str) -> DatasetRow:
        return DatasetRow(
            id="d", name=name_or_id, kind="bars", instrument="X", rows=7, start_ns=0, end_ns=1, manifest=b""
        )


class Blobs(dict[str, bytes]):
    def put(self, data: bytes) -> str:
        self[content_hash(data)] = data
        return content_hash(data)

    def get(self, blob: str) -> bytes:
        if blob not in self:
            raise NotFound(f"no blob {blob}")
        return self[blob]


class Recorder:
    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []

    def segment(self, *, first_row: int, last_row: int, core_chain: bytes, user_chain: bytes, data: bytes) -> None:
        self.calls.append(("segment", last_row))

    def checkpoint(self, *, row: int, data: bytes) -> None:
        self.calls.append(("checkpoint", row))


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until(condition: Any, within_s: float = 10) -> bool:
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_a_child_is_another_process_kept_warm_and_has_no_database(make_bench, monkeypatch, capfd):
    monkeypatch.setenv("DATABASE_URL", "postgresql://secret")
    monkeypatch.setenv("PGPASSWORD", "secret")
    bench = make_bench()
    first, second = (msgspec.json.decode(bench.run(look).output, type=Result) for _ in range(2))
    assert first.pid == second.pid != os.getpid()
    assert not {"DATABASE_URL", "PGPASSWORD"} & set(first.environment)
    bench.slots.stop(0)
    assert "not the protocol" in capfd.readouterr().out


@pytest.mark.parametrize("hang", [(sleep, b'{"seconds":60}'), (spin, b"{}")], ids=["sleeping", "spinning"])
def test_past_its_limit_a_child_is_killed_alone_and_replaced(bench, hang):
    before = msgspec.json.decode(bench.run(look).output, type=Result).pid
    begun = time.monotonic()
    outcome = bench.run(*hang, timeout_s=0.3)
    assert (outcome.failure.type, outcome.failure.cause) == ("StepTimeout", "timeout")
    assert 0.3 <= time.monotonic() - begun < 5
    assert not is_alive(before)
    after = msgspec.json.decode(bench.run(look).output, type=Result).pid
    assert after not in (before, os.getpid())


def test_a_segmentation_fault_is_a_failure_that_names_the_signal(bench):
    failure = bench.run(segfault).failure
    assert (failure.type, failure.retryable) == ("ProcessDied", True)
    assert "was killed by signal 11 (SIGSEGV)" in failure.message
    assert bench.run(look).failure is None


def test_a_child_that_leaves_is_a_failure_that_names_the_exit_code(bench):
    assert "ended with exit code 3" in bench.run(leave, b'{"code":3}').failure.message
    assert "ended with exit code 0" in bench.run(leave, b'{"code":0}').failure.message


def test_a_child_that_dies_between_attempts_costs_no_attempt(bench):
    for _ in range(5):
        pid = msgspec.json.decode(bench.run(look).output, type=Result).pid
        os.kill(pid, signal.SIGKILL)
        assert bench.run(look).failure is None


def test_an_error_in_a_child_comes_with_its_frames(bench):
    failure = bench.run(fail).failure
    assert (failure.type, failure.message) == ("ValueError", "in the child")
    assert 'raise ValueError("in the child")' in failure.traceback
    assert "kronos/engine" not in failure.traceback


def test_a_cancelled_child_is_killed_with_what_it_started(bench, tmp_path):
    note = tmp_path / "pid"
    task = bench.task(start_grandchild, msgspec.json.encode({"path": str(note)}))
    bench.slots.submit([task])
    assert until(lambda: note.exists() and note.read_text())
    assert bench.slots.cancel(task.run_id, task.step, 1)
    ((_, outcome),) = bench.collect(1)
    assert (outcome.failure.type, outcome.failure.cause) == ("Cancelled", "cancelled")
    assert until(lambda: not is_alive(int(note.read_text())))


def test_the_services_of_the_worker_are_at_hand(make_bench):
    recorder, told = Recorder(), []
    bench = make_bench(
        blobs=Blobs(),
        index=Index(),
        recorder=lambda _task: recorder,
        datasets_in_child=(f"{__name__}:Catalog", {"folder": "/data"}),
        on_log=lambda task, message, fields: told.append((message, fields)),
    )
    bench.run(look)  # loads this module, whose name pytest made up, so that the recipe finds it
    outcome = bench.run(use_context)
    assert outcome.failure is None, outcome.failure
    said = msgspec.json.decode(outcome.output)
    assert (said["blob"], said["missing"], said["dataset"]) == ("bytes", "no blob missing", "/data/7")
    assert recorder.calls == [("segment", 1), ("checkpoint", 2)]
    assert told == [("half way", {"row": 2})]
    (beat,) = bench.services.reports.news()[0].values()
    assert msgspec.json.decode(beat.progress) == {"done": 1, "total": 4}
    assert [effect.name for effect in outcome.effects] == ["now", "uuid", "random"]


def test_what_a_service_raises_is_raised_in_the_step(bench):
    failure = bench.run(ask_for_recorder).failure
    assert failure.type == "Unavailable"
    assert "started without one" in failure.message


@step(executor="process")
def learn(ctx: StepContext) -> list[Any]:
    return [ctx.now(), ctx.uuid(), ctx.random.random()]


def test_a_recording_is_served_in_the_child(make_bench):
    live = make_bench().run(learn)
    replayed = make_bench(effects=lambda _task: RecordedEffects(live.effects)).run(learn)
    assert (replayed.output, replayed.effects) == (live.output, live.effects)
    blocked = make_bench(effects=lambda _task: RecordedEffects(live.effects[:1])).run(learn)
    assert blocked.failure.type == "EffectBlocked"


def test_children_run_side_by_side_and_end_with_stop(make_bench):
    bench = make_bench(processes=3)
    begun = time.monotonic()
    bench.slots.submit([bench.task(sleep, b'{"seconds":60}') for _ in range(3)])
    assert until(lambda: len(bench.slots._processes.running()) == 3)
    assert bench.slots.stop(0.1) == []
    assert time.monotonic() - begun < 20
    assert {outcome.failure.cause for _, outcome in bench.slots.drain()} == {"cancelled"}


SCRIPT = """
    import os, sys, threading, time
    from kronos.core.decorators import step
    from kronos.engine.context import Services
    from kronos.engine.slots.slots import Slots
    from kronos.engine.tasks import Task

    @step(executor="process")
    def hang(path: str) -> int:
        with open(path, "w") as file:
            file.write(str(os.getpid()))
        time.sleep(600)
        return 1

    if __name__ == "__main__":
        slots = Slots(
            definitions={hang.target: hang},
            services=Services(now_ns=time.time_ns, entropy=os.urandom),
            wake=lambda: None, threads=1, processes=1,
        )
        data = b'{"path":"%s"}' % sys.argv[1].encode()
        slots.submit([Task("run", "hang", 1, hang.target, data, None, "process")])
        time.sleep(600)
"""


def test_a_child_of_a_script_dies_with_its_parent(tmp_path):
    script, note = tmp_path / "script.py", tmp_path / "pid"
    script.write_text(textwrap.dedent(SCRIPT))
    root = str(Path(__file__).resolve().parents[2])
    parent = subprocess.Popen([sys.executable, str(script), str(note)], env={**os.environ, "PYTHONPATH": root})
    try:
        assert until(lambda: note.exists() and note.read_text(), 20)
        child = int(note.read_text())
        assert is_alive(child)
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
        assert until(lambda: not is_alive(child), 5)
    finally:
        parent.kill()
        parent.wait()


def test_a_script_that_starts_an_engine_when_loaded_is_refused_in_the_child_not_repeated(tmp_path):
    script, note = tmp_path / "script.py", tmp_path / "pid"
    text = textwrap.dedent(SCRIPT).replace('__name__ == "__main__"', "True")
    text = text.replace("    time.sleep(600)\n", "    time.sleep(1)\n").rstrip().rpartition("\n")[0]
    text += "\n    while not (ended := slots.drain()): time.sleep(0.01)\n    print(ended[0][1].failure.message)\n"
    script.write_text(text)
    root = str(Path(__file__).resolve().parents[2])
    ran = subprocess.run(
        [sys.executable, str(script), str(note)],
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "starts an engine when it is loaded" in ran.stdout, ran.stderr
    assert not note.exists()
