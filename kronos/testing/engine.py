"""A whole engine in the test's own thread, whose time is skipped rather than waited for.

Rule 1: real workflows on a real Postgres, in a database of its own; what is replaced is the clock, the threads and the
        order of things, which is the same each time.
Rule 2: while something can go on, time stands still; when everything waits, it jumps to what is due next.
Rule 3: between two calls of the test nothing moves, and no transaction is open.
"""

from __future__ import annotations

import os
import random
import tempfile
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec
import psycopg
from psycopg import sql

from kronos.app import Kronos, RunFailedError
from kronos.app.access import Step, Workflow
from kronos.core.state import Phase
from kronos.engine.clock import RunClock
from kronos.engine.context import Services
from kronos.engine.leader import Candidate, schedules_duty
from kronos.engine.life import Surroundings
from kronos.engine.tasks import Task
from kronos.kernel import canonical
from kronos.kernel.ids import RunId
from kronos.ports.history import RunSummary
from kronos.ports.leading import Presence
from kronos.settings import Settings
from kronos.storage.blobs import PostgresBlobs
from kronos.storage.database import Session
from kronos.storage.embedded import EmbeddedPostgres
from kronos.storage.leading import PostgresLeadership
from kronos.storage.migrate import migrate
from kronos.storage.queue import PostgresQueue
from kronos.storage.schedules import PostgresSchedules
from kronos.storage.transactions import PostgresDatabaseSteps, TransactionPool
from kronos.testing.clock import START, FakeClock
from kronos.testing.connecting import Observer, SimulatedConnection, Watched
from kronos.testing.network import Network
from kronos.testing.node import Node
from kronos.testing.scheduling import Scheduler, StuckError

__all__ = ["NEWS", "Cast", "TestEngine", "TestHandle"]

LEASE_S: Final = 20 * 86_400.0
"""Longer than any jump of the clock: a lease does not run out because time was skipped."""
HOUR_NS: Final = 3_600_000_000_000
JUMP_S: Final = 5 * 86_400.0
"""A jump is at most this long, so that leases are renewed on the way."""
POLL_S: Final = 0.25
QUIET_NS: Final = 1_200_000_000
"""Polled for so long without any news, nothing but the clock can bring some."""
NEWS: Final = frozenset({"insert_flush", "record_takeovers", "advance_schedule"})
"""Statements that say that something has happened."""
TURNS_MAX: Final = 100_000
"""Steps of the clock from one call of the test to its answer."""
_LATER: Final = 1 << 62


class _News(Watched):
    """Wakes nodes when somebody says that there is work, and counts what was written."""

    def __init__(self) -> None:
        self.wake: Callable[[], None] = lambda: None
        self.written = 0

    def after(self, connection: SimulatedConnection, name: str, params: Any) -> None:
        if name.startswith("NOTIFY"):
            self.wake()
        if name in NEWS:
            self.written += 1


class Cast:
    """The actors over one database: clock, network, scheduler and nodes."""

    def __init__(
        self,
        url: str,
        observer: Observer,
        app: Kronos,
        *,
        seed: str,
        clock: FakeClock,
        watched: Watched,
        calm: bool,
        lease_s: float = LEASE_S,
        delays: Callable[[Task], tuple[float, float]] = lambda _task: (0.0, 0.0),
        on_execute: Callable[[Task, int], None] = lambda _task, _worker: None,
    ) -> None:
        self.clock: Final = clock
        self.network: Final = Network(url, observer=observer, watched=watched, seed=seed, clock=clock)
        self.scheduler: Final = Scheduler(f"{seed}/turns", clock=clock, backends=observer, calm=calm)
        self._url = url
        self._app = app
        self._lease_s = lease_s
        self._delays = delays
        self._on_execute = on_execute
        self._chance = random.Random(f"{seed}/chance")  # noqa: S311 - reproducible on purpose
        self.nodes: dict[str, Node] = {}

    def begin(self, name: str) -> Node:
        """Make a node; `start` it."""
        node = self.nodes[name] = Node(
            name,
            scheduler=self.scheduler,
            around=self._around,
            delays=self._delays,
            on_execute=self._on_execute,
            extras=self._lead,
        )
        return node

    def _around(self, node: Node) -> Surroundings:
        link = self.network.link(node)
        return Surroundings(
            name=node.name,
            store=PostgresQueue(self._url, link=link),
            blobs=PostgresBlobs(Session(self._url, purpose="blobs", link=link), kind="dataset", owner="catalog"),
            serving=self._app.definitions,
            services=lambda incarnation, run_clock: Services(
                now_ns=run_clock.now_ns,
                entropy=self._chance.randbytes,
                blobs=self._app.blobs,
                database_steps=PostgresDatabaseSteps(
                    TransactionPool(self._url, lease_s=self._lease_s, link=link), incarnation, node.hint
                ),
            ),
            slots=node.slots,
            tell=lambda _ids: None,
            lease_s=self._lease_s,
            poll_s=POLL_S,
            claim_max=100,
            clock=lambda database_ns: RunClock(database_ns, self.clock.now_ns),
            chance=self._chance.random,
        )

    def _lead(self, node: Node) -> dict[str, Callable[[], float]]:
        link = self.network.link(node)
        candidate = Candidate(
            store=PostgresLeadership(self._url, link=link),
            kind="worker",
            name=node.name,
            lease_s=self._lease_s,
            presence=lambda: Presence(None if node.life is None else node.life.incarnation, self._app.definitions.ids),
            duties=[schedules_duty(PostgresSchedules(Session(self._url, purpose="duties", link=link)))],
            monotonic=lambda: self.clock.now_ns() / 1e9,
        )
        return {"campaign": candidate.turn, "lead": candidate.serve}

    def next_due(self, observer: Observer) -> int | None:
        """Return when something is due (ns) that is not the nodes' own polling."""
        row = observer.connection.execute(_DUE).fetchone()
        assert row is not None, "an aggregate has one row"
        known = [row[0], *(node.life.loop.next_due_ns for node in self.nodes.values() if node.life is not None)]
        return min((int(due) for due in known if due is not None and due > self.clock.now_ns()), default=None)

    def jump(self, ns: int) -> None:
        """Move the clock forward; over hours, make the partitions that the leader would have made on the way."""
        far = ns - self.clock.now_ns() > HOUR_NS
        self.clock.advance_to(ns)
        if far:
            make_partitions(self._url, self.clock)

    def end(self) -> None:
        """Let nobody do anything any more, and close every connection."""
        self.scheduler.doom()
        self.network.close({actor.executing for actor in self.scheduler.actors})
        self.scheduler.end()
        self.network.forget(keep=False)


class TestHandle:
    """A run that was started in a test."""

    __test__ = False

    def __init__(self, engine: TestEngine, run_id: RunId, workflow: Workflow) -> None:
        self.run_id: Final = run_id
        self._engine = engine
        self._workflow = workflow

    def result(self) -> Any:
        """Let time pass until the run has ended; return its typed result, or raise `RunFailedError`.

        Raises `StuckError` when it waits for something that no clock brings.
        """
        run = self._engine.finish(self.run_id)
        if run.phase is not Phase.COMPLETED:
            raise RunFailedError(run)
        assert run.output is not None, "a completed run has an output"
        return canonical.decode(self._engine.app.history.payload(run.output), self._workflow.output_type)

    @property
    def status(self) -> RunSummary:
        """The run's line as of now."""
        return self._engine.app.history.run(self.run_id)


class TestEngine:
    """`engine.start(workflow, …).result()` as in the real one, with sleeping timers, backoffs and schedules skipped to.

    `database_url` (default: DATABASE_URL, else an embedded server) names a server on which a database of this engine's
    own is made and dropped again.  `clock` is its time, which `advance` moves too.  `seed` decides ids and chance.
    """

    __test__ = False

    def __init__(
        self,
        *,
        workflows: Sequence[Workflow | Step | str] = (),
        database_url: str | None = None,
        start: datetime = START,
        seed: int = 0,
    ) -> None:
        self._stack = ExitStack()
        try:
            self._folder = Path(self._stack.enter_context(_folder()))
            self.url: Final = self._stack.enter_context(_database(database_url, self._folder))
            self.clock: Final = FakeClock(start)
            self.observer: Final = Observer(self.url)
            self._stack.callback(self.observer.close)
            self._news = _News()
            migrate(self.url)
            network = Network(
                self.url, observer=self.observer, watched=self._news, seed=f"{seed}/app", clock=self.clock
            )
            self._stack.callback(network.forget, keep=False)
            make_partitions(self.url, self.clock)
            self.app: Final = Kronos(Settings(data_dir=self._folder), self.url, link=network.link(None))
            self._stack.callback(self.app.close)
            self.app.serve(*workflows)
            self._cast = Cast(
                self.url,
                self.observer,
                self.app,
                seed=str(seed),
                clock=self.clock,
                watched=self._news,
                calm=True,
            )
            self._stack.callback(self._cast.end)
            self._node = self._cast.begin("test")
            self._news.wake = self._node.hint
            self._node.start()
        except BaseException:
            self._stack.close()
            raise

    # ── asking ──

    def start(self, workflow: Workflow, run_input: object = msgspec.UNSET, **options: Any) -> TestHandle:
        """Start a run; nothing of it happens before time passes (`result`, `advance`)."""
        return TestHandle(self, self.app.start(workflow, run_input, **options), workflow)

    def run(self, workflow: Workflow, run_input: object = msgspec.UNSET, **options: Any) -> Any:
        """Start a run and return its result."""
        return self.start(workflow, run_input, **options).result()

    # ── time ──

    def advance(self, seconds: float) -> None:
        """Let time pass: everything that is due meanwhile happens, each thing at its time."""
        self._pass(self.clock.now_ns() + int(seconds * 1e9), lambda: False)

    def finish(self, run_id: RunId) -> RunSummary:
        """Let time pass until a run has ended; return its line.  Raises `StuckError`."""
        if not self._pass(None, lambda: self.app.history.run(run_id).phase.is_final):
            raise StuckError(
                f"run {run_id} is {self.app.history.run(run_id).phase}, and nothing is due: it waits for somebody "
                "(a signal, an approval)",
                run_id=run_id,
            )
        return self.app.history.run(run_id)

    def _pass(self, until_ns: int | None, is_done: Callable[[], bool]) -> bool:
        """Let time pass until `is_done`; return whether it is, once `until_ns` has come or nothing is due any more."""
        quiet_since, written = self.clock.now_ns(), self._news.written
        for _ in range(TURNS_MAX):
            self._settle()
            if is_done():
                return True
            now = self.clock.now_ns()
            if until_ns is not None and now >= until_ns:
                return False
            if self._news.written != written:
                quiet_since, written = now, self._news.written
            due = self._cast.next_due(self.observer)
            if now - quiet_since < QUIET_NS:
                due = min(self._cast.scheduler.next_ns(), _LATER if due is None else due)
            elif due is None and until_ns is None:
                return False
            wanted = min(_LATER if due is None else due, _LATER if until_ns is None else until_ns)
            self._cast.jump(min(wanted, now + int(JUMP_S * 1e9)))
        raise StuckError(f"no end in {TURNS_MAX} turns")

    def _settle(self) -> None:
        """Let everything happen that needs no time."""
        while self._cast.scheduler.is_able:
            self._cast.scheduler.turn()
        if self._cast.scheduler.faults:
            name, error = self._cast.scheduler.faults[0]
            raise StuckError(f"{name} broke down: {type(error).__name__}: {error}") from error
        assert self._cast.network.is_quiet, "an actor that waits holds no transaction"

    # ── end ──

    def close(self) -> None:
        """End everything, and drop the database."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


_DUE: Final = """
SELECT (extract(epoch FROM min(due)) * 1e9)::bigint FROM (
    SELECT wake_at AS due FROM kronos.runs WHERE finished_at IS NULL AND wake_at < 'infinity'
    UNION ALL SELECT next_at FROM kronos.schedules WHERE paused_at IS NULL
) known
"""


def make_partitions(url: str, clock: FakeClock) -> None:
    """Make the partitions around the time of `clock`."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT set_config('kronos.now', %s, false)", (clock.now().isoformat(),))
        connection.execute("SELECT kronos.ensure_partitions()")


def _folder() -> Any:
    folder = tempfile.TemporaryDirectory(prefix="kronos-testing-")
    Path(folder.name).chmod(0o755)  # the embedded server's user must be able to pass
    return folder


class _database:  # noqa: N801 - used as a function: a context manager that may be left after a failure
    """A database of one's own on the given server, or on an embedded one."""

    def __init__(self, url: str | None, folder: Path) -> None:
        self._given = url or os.environ.get("DATABASE_URL")
        self._folder = folder
        self._embedded: EmbeddedPostgres | None = None
        self._name = f"kronos_testing_{uuid.uuid4().hex[:12]}"

    def __enter__(self) -> str:
        if self._given is None:
            self._embedded = EmbeddedPostgres(self._folder)
            self._given = self._embedded.start()
        self._administer("CREATE DATABASE {}")
        head, mark, query = self._given.partition("?")
        return f"{head.rpartition('/')[0]}/{self._name}{mark}{query}"

    def __exit__(self, *_: object) -> None:
        self._administer("DROP DATABASE {} WITH (FORCE)")
        if self._embedded is not None:
            self._embedded.stop()

    def _administer(self, statement: str) -> None:
        assert self._given is not None, "a server was found"
        with psycopg.connect(self._given, autocommit=True) as connection:
            connection.execute("SET client_min_messages = warning")
            connection.execute(sql.SQL(statement).format(sql.Identifier(self._name)))
