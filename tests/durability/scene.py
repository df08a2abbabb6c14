"""Workers to be killed, and what a test needs to look at them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

import psycopg
import pytest

from kronos import Kronos
from kronos.errors import Unavailable
from kronos.storage.readers import READERS_MAX

__all__ = ["LEASE_S", "NURSERY", "Fleet", "Member", "Node", "Scene", "until"]

ROOT = Path(__file__).resolve().parents[2]
LEASE_S = 1.0


class Fleet:
    """Worker processes of one database, and the ledger that they sign."""

    def __init__(self, url: str, folder: Path, *, lease_s: float = LEASE_S) -> None:
        self.url = url
        self.folder = folder
        self.ledger = folder / "ledger"
        self.gate = folder / "gate"
        self.log = folder / "workers.log"
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "KRONOS_LEASE": f"{lease_s:g}s",
            "KRONOS_DATA_DIR": str(folder / "data"),
            "KRONOS_TEST_LEDGER": str(self.ledger),
            "KRONOS_TEST_GATE": str(self.gate),
        }
        self._all: list[Member | Node] = []

    def warm(self, *, url: str | None = None, **environment: str) -> Member:
        """Return a worker process that has imported everything and waits to be told to begin."""
        member = Member(self, url or self.url, environment)
        self._all.append(member)
        return member

    def worker(self, *, url: str | None = None, **environment: str) -> Member:
        """Return a worker that works."""
        return self.warm(url=url, **environment).begin()

    def node(self, kind: str, *, url: str | None = None, before: tuple[str, ...] = ()) -> Node:
        """Return a `kronos worker` or `kronos server`, as an operator starts it; `before` is put before the command."""
        node = Node(self, kind, url or self.url, before)
        self._all.append(node)
        return node

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for member in self._all:
            member.kill()
        if error is not None and self.log.exists():
            print(f"the workers said:\n{self.log.read_text()[-6000:]}")


class Nursery:
    """Worker processes that have imported everything: all are forked from one that has, which takes no time."""

    def __init__(self) -> None:
        self._mother: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None

    def take(self) -> Born:
        """Return a process that waits for its orders."""
        ours, theirs = os.pipe(), os.pipe()
        pid = int(self._ask("bear", (theirs[0], ours[1])))
        for descriptor in (theirs[0], ours[1]):
            os.close(descriptor)
        return Born(self, pid, os.fdopen(theirs[1], "w"), os.fdopen(ours[0]))

    def exit_code(self, pid: int) -> int | None:
        """Return how a process ended, as its mother learnt it; None while it lives."""
        told = self._ask(f"look {pid}")
        return None if told == "lives" else int(told)

    def close(self) -> None:
        """End the mother."""
        if self._mother is not None and self._line is not None:
            self._line.close()
            self._mother.wait()
            self._mother = self._line = None

    def _ask(self, question: str, descriptors: tuple[int, ...] = ()) -> str:
        if self._line is None:
            self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            own = {**os.environ, "PYTHONPATH": str(ROOT)}
            command = [sys.executable, "-m", "tests.durability.mother"]
            self._mother = subprocess.Popen(command, cwd=ROOT, env=own, stdin=theirs)
            theirs.close()
        socket.send_fds(self._line, [question.encode()], descriptors)
        answer = self._line.recv(100)
        assert answer, f"the mother of the workers is gone: {self._mother}"
        return answer.decode()


class Born:
    """What a test does with a forked process; named as in `subprocess.Popen`."""

    def __init__(self, nursery: Nursery, pid: int, stdin: TextIO, stdout: TextIO) -> None:
        self._nursery = nursery
        self._code: int | None = None
        self.pid = pid
        self.stdin = stdin
        self.stdout = stdout

    def poll(self) -> int | None:
        """Return the exit code, None while it lives."""
        if self._code is None:
            self._code = self._nursery.exit_code(self.pid)
        return self._code

    def wait(self, within_s: float = 30) -> int:
        """Return the exit code."""
        until(lambda: self.poll() is not None, within_s, f"process {self.pid} does not end", every_s=0.005)
        assert self._code is not None
        return self._code

    def terminate(self) -> None:
        """SIGTERM."""
        self._signal(signal.SIGTERM)

    def end(self) -> None:
        """kill -9, and wait until it is gone."""
        self._signal(signal.SIGKILL)
        self.wait()
        self.stdin.close()
        self.stdout.close()

    def _signal(self, number: int) -> None:
        if self.poll() is None:  # until its mother was asked, the number is nobody else's
            os.kill(self.pid, number)


NURSERY = Nursery()


class Member:
    """One worker process."""

    def __init__(self, fleet: Fleet, url: str, environment: dict[str, str]) -> None:
        self.process = NURSERY.take()
        self.incarnation = 0
        self._begun = False
        own = {name: value for name, value in (fleet.environment | environment).items() if name.startswith("KRONOS_")}
        self._orders = {
            "url": url,
            "folder": str(fleet.folder / "data"),
            "log": str(fleet.log),
            "environment": own | environment,
        }

    def begin(self, *, wait: bool = True) -> Member:
        """Tell it to begin; return once it is registered, unless told not to wait."""
        if not self._begun:
            self._begun = True
            self._read("warm")
            self.process.stdin.write(json.dumps(self._orders) + "\n")
            self.process.stdin.flush()
        if wait:
            self.incarnation = int(self._read("ready").split()[1])
        return self

    def kill(self) -> None:
        """kill -9."""
        self.process.end()

    def _read(self, wanted: str) -> str:
        line = self.process.stdout.readline()
        assert line.startswith(wanted), f"a worker said {line!r} instead of {wanted!r}: {self.process.poll()}"
        return line


class Node:
    """One process of the command line."""

    def __init__(self, fleet: Fleet, kind: str, url: str, before: tuple[str, ...]) -> None:
        ports = dict.fromkeys(("GRPC_ADDR", "ADMIN_ADDR", "METRICS_ADDR"), "127.0.0.1:0")
        with fleet.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*before, sys.executable, "-m", "kronos", kind, "--workflows", "tests.durability.flows"],
                cwd=ROOT,
                env=fleet.environment | ports | {"DATABASE_URL": url},
                stdout=log,
                stderr=log,
            )
        self.pid = self.process.pid

    def stop(self) -> None:
        """SIGTERM."""
        self.process.terminate()

    def wait(self, within_s: float) -> int:
        """Return the exit code."""
        return self.process.wait(within_s)

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()


class Scene:
    """A database, the fleet of its workers, and a client."""

    def __init__(self, app: Kronos, fleet: Fleet) -> None:
        self.app = app
        self.fleet = fleet

    def sql(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.fleet.url, autocommit=True) as connection:
            return connection.execute(query, values or None).fetchall()

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.fleet.url, autocommit=True) as connection:
            connection.execute(statement)

    def reconnect(self) -> None:
        """Have the client notice that its connection is gone, so that a start is not the one to find out."""

        def answers() -> bool:
            try:
                for _ in range(READERS_MAX):  # each of its readers finds out for itself
                    self.app.history.definitions()
                return bool(self.app.ready())
            except Unavailable:
                return False

        until(answers, 20, "the database does not answer the client")

    def open_runs(self) -> int:
        (row,) = self.sql("SELECT count(*) FROM kronos.runs WHERE finished_at IS NULL")
        return int(row[0])

    def await_all(self, within_s: float) -> None:
        """Wait until no run is open."""
        until(lambda: self.open_runs() == 0, within_s, lambda: f"{self.open_runs()} runs are still open")


def until(
    holds: Callable[[], object], within_s: float, what: Callable[[], str] | str, *, every_s: float = 0.02
) -> None:
    """Wait until `holds()`; fail with `what` after `within_s`."""
    deadline = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {within_s:g} s: {what if isinstance(what, str) else what()}")
        time.sleep(every_s)
