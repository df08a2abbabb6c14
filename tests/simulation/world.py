"""One simulated history: a database, nodes, clients, faults, and the judge at the end.

Rule: whatever a seed decides, once the faults stop every run that was started comes to its end, and the checker finds
      nothing.
"""

from __future__ import annotations

import hashlib
import random
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import msgspec
import psycopg
import zstandard
from psycopg import errors as pg
from psycopg import sql

from kronos.core.schedules import Schedule
from kronos.engine.clock import RunClock
from kronos.engine.context import Services
from kronos.engine.leader import Candidate, schedules_duty
from kronos.engine.life import Surroundings
from kronos.engine.registration import define
from kronos.engine.serving import Serving
from kronos.engine.tasks import Task
from kronos.errors import Unavailable
from kronos.kernel.ids import RunId
from kronos.ports.leading import Presence
from kronos.ports.queue import RunRequest
from kronos.storage.blobs import PostgresBlobs
from kronos.storage.database import Session
from kronos.storage.jobs import PostgresJobs
from kronos.storage.leading import PostgresLeadership
from kronos.storage.migrate import migrate
from kronos.storage.queue import PostgresQueue
from kronos.storage.schedules import PostgresSchedules
from kronos.storage.submission import Submission
from kronos.storage.sweeping import Sweep
from kronos.testing.clock import START, FakeClock
from kronos.testing.connecting import COMMIT, CONNECT, Observer, SimulatedConnection
from kronos.testing.faults import FaultPlan
from kronos.testing.network import Network
from kronos.testing.node import Node
from kronos.testing.scheduling import Scheduler, StuckError, current_actor
from tests.simulation import flows
from tests.simulation.checker import Accepted, Rules, Watch, broken_rules
from tests.simulation.mutations import Mutation
from tests.simulation.reach import EMPLOYED, LED, NEEDED, PRELUDES, SWEPT
from tests.simulation.tasks import JOURNAL, JobClient, Wished, broken_jobs, wrong_attempt

STRUCK_MAX: Final = 80
"""Statements after which nothing goes wrong any more."""
AIM_MAX: Final = 180
"""The same while the statement that the seed aims at has not come."""
PRELUDE_MAX: Final = 280
"""The same where something must go wrong, and be got over, before it comes."""
STATEMENTS_MAX: Final = 1_500
LEASE_S: Final = 1.5
POLL_S: Final = 1.0
AGES: Final = (timedelta(minutes=5), timedelta(minutes=45), timedelta(hours=3))
"""How long ago somebody touched the blobs that nobody refers to."""
RULES: Final = Rules(flows.EXPECTED, flows.NEEDS)
TIES: Final = {
    "claim_runs": ("ORDER BY wake_at", "ORDER BY rank"),
    "claim_jobs": ("ORDER BY rank",),
    "claim_jobs_fairly": ("ORDER BY rank", "ORDER BY c.turn, c.rank"),
}
"""Where production leaves open which of two equals comes first, the id decides here: the place on disk would not be the
same twice.
"""
ACTING: Final = frozenset(
    {"insert_flush", "hold_epoch", "claim_jobs", "claim_jobs_fairly", "finish_jobs", "fail_jobs", "release_jobs"}
    | {"send_outcomes"}
)
"""Statements whose transaction none but the living, and the leader, may commit."""
ELSEWHERE: Final = frozenset({"alembic_version", "schema_version"})


@dataclass
class Report:
    """What became of one seed."""

    seed: int
    aim: str | None
    statements: int
    struck: list[tuple[int, str, str, str]]
    broken: list[str]
    digest: str
    visited: set[str]
    schedule: list[tuple[str, str]] = field(default_factory=list)

    @property
    def is_fine(self) -> bool:
        return not self.broken

    def __str__(self) -> str:
        lines = [f"seed {self.seed}: {self.statements} statements, aim {self.aim}"]
        lines += [f"  fault at statement {n}: {kind} at {name} of {who}" for n, who, name, kind in self.struck]
        return "\n".join(lines + [f"  BROKEN {each}" for each in self.broken])


_RESET: Final = """
DO $$
BEGIN
    TRUNCATE arena.job_journal RESTART IDENTITY;
    EXECUTE (
        SELECT 'TRUNCATE ' || string_agg('kronos.' || quote_ident(relname), ', ') || ' CASCADE' FROM pg_class
        WHERE relnamespace = 'kronos'::regnamespace AND relkind = 'r' AND NOT relispartition
          AND relname NOT IN ('alembic_version', 'schema_version') AND pg_relation_size(oid) > 0
    );
    EXECUTE format('DROP TABLE kronos.%I', 'events_standard_' || to_char(date_trunc('week', kronos.now()), 'YYYYMMDD'));
    PERFORM setval(format('%I.%I', schemaname, sequencename), 1, false) FROM pg_sequences WHERE schemaname = 'kronos';
END
$$;
"""
"""Every table as it was made: emptied rather than deleted from, so that not even the order on disk tells of before."""


class Arena:
    """A database that is as new before each history."""

    def __init__(self, url: str) -> None:
        migrate(url)
        self.url: Final = url
        self.observer: Final = Observer(url)
        self.idle: Final[list[SimulatedConnection]] = []
        """Connections that nothing happened to, for the next history: opening one costs as much as ten statements."""
        at = self.observer.connection
        at.execute("SET synchronous_commit = off")
        at.execute("SELECT set_config('kronos.now', %s, false)", (START.isoformat(),))
        at.execute("SELECT kronos.ensure_partitions()")
        names = at.execute(
            """SELECT relname FROM pg_class WHERE relnamespace = 'kronos'::regnamespace AND relkind = 'r'
               AND NOT relispartition AND relname <> ALL(%s) ORDER BY 1""",
            (list(ELSEWHERE),),
        ).fetchall()
        at.execute("CREATE SCHEMA arena")
        kept = []
        for (name,) in names:
            table = sql.Identifier(str(name))
            at.execute(sql.SQL("CREATE TABLE arena.{} AS TABLE kronos.{}").format(table, table))
            if at.execute(sql.SQL("SELECT FROM arena.{} LIMIT 1").format(table)).fetchone() is not None:
                kept.append(str(name))
        at.execute(JOURNAL)
        self._reset = _RESET + "".join(
            f"INSERT INTO kronos.{name} OVERRIDING SYSTEM VALUE SELECT * FROM arena.{name};" for name in kept
        )
        self._reset += "SELECT kronos.ensure_partitions()"

    def reset(self) -> None:
        """Forget everything that happened."""
        self.observer.connection.execute(self._reset)  # type: ignore[arg-type]

    def close(self) -> None:
        for connection in self.idle:
            connection.pgconn.finish()
        self.observer.close()


class Served:
    """The workflows as registered: read once, the same in every history."""

    def __init__(self) -> None:
        self.serving = Serving()
        self.registered = []
        for each in (*flows.FLOWS, flows.LENT):
            definition, _sources = define(each)
            self.serving.add(each, definition)
            self.registered.append(definition)
        self.lent = self.registered.pop()
        self.serving.add_steps((flows.double, flows.stumble, flows.never))


class Client:
    """Somebody who starts runs and cancels some; it asks again when it gets no answer."""

    def __init__(self, name: str, world: World) -> None:
        self.name = name
        self.paused_until_ns = 0
        self.is_over = False
        self._world = world
        self._rng = random.Random(f"{world.seed}/{name}")
        session = Session(world.arena.url, purpose="client", link=world.network.link(self))
        self._submission = Submission(session)
        self._schedules = PostgresSchedules(session)
        self._actor = world.scheduler.spawn(name, self, self._act)

    def die(self) -> None:
        self.is_over = self._actor.killed = True
        self.paused_until_ns = 0

    def _act(self) -> None:
        world, rng = self._world, self._rng
        wanted = rng.sample(world.served.registered, rng.choice((1, 1, 2)))
        if world.needed:
            wanted = [each for each in world.served.registered if each.workflow in world.needed]
        if world.is_employed and ("lending" in world.needed or rng.random() < 0.5):
            wanted = [world.served.lent]
        children = [each for each in world.served.registered if each.workflow in flows.CHILDREN]
        for definition in [*wanted, *(children if any(each.graph.has_children for each in wanted) else ())]:
            self._patiently(lambda definition=definition: self._submission.register(definition, {}))
        if world.is_led:
            self._schedule(wanted[0].workflow)
        mine: list[str] = []
        times, at_once = ((1,), (1, 1, 3)) if world.is_small else ((1, 1, 1, 2), (1, 1, 1, 3))
        for _ in range(rng.choice((1, 2, 3) if world.is_swept else times)):
            definition = rng.choice(wanted)
            numbers = [rng.randint(0, 50) for _ in range(rng.choice(at_once))]
            mine += self._start(definition.id, numbers)
            self._sleep(rng.choice((0.0, 0.05, 0.4)))
            if definition.workflow == "asking":
                for run in mine:
                    self._signal(run)
            if mine and rng.random() < 0.35:
                self._cancel(rng.choice(mine))
        self.is_over = True

    def _schedule(self, workflow: str) -> None:
        """Keep a schedule whose first slot is the full minute that comes."""
        order = Schedule(
            id=0,
            name=f"every minute for {self.name}",
            cron="* * * * *",
            zone="UTC",
            workflow=workflow,
            version=None,
            input=b'{"number":7}',
            catch_up="latest",
            overlap="allow",
            jitter_s=0.0,
            timeout_s=None,
            created_at=START,
            paused_at=None,
            next_at=START,
        )
        self._patiently(lambda: self._schedules.add(order))

    def _start(self, definition: Any, numbers: list[int]) -> list[str]:
        inputs = [msgspec.json.encode({"number": number}) for number in numbers]
        try:
            if len(inputs) == 1:
                request = RunRequest(definition, inputs[0])
                started = [self._start_at_hand(request) or self._submission.start(request)]
            else:
                started = self._submission.start_many(definition, inputs)
        except Unavailable:
            return []  # it may have happened or not
        self._world.accepted.starts.update(zip(started, numbers, strict=True))
        return started

    def _start_at_hand(self, request: RunRequest) -> RunId | None:
        """Ask a node to start a run that it claims at once; None where it does not take requests."""
        node = self._rng.choice(list(self._world.nodes.values()))
        life, actor = node.life, current_actor()
        if life is None or self._rng.random() < 0.5:
            return None
        assert actor is not None
        answer = life.intake.ask(request)
        actor.wait(None, lambda: answer.done() or node.is_dead or node.life is not life)
        if not answer.done():
            raise Unavailable("the node died with the request in hand")
        return answer.result()

    def _cancel(self, run: str) -> None:
        command = uuid.UUID(int=self._rng.getrandbits(128), version=4)
        for _ in range(self._rng.choice((1, 1, 2))):
            self._world.accepted.asked.add(run)
            sent = self._patiently(lambda: self._submission.send(RunId(run), "cancel", b"{}", command_id=command))
            if sent:
                self._world.accepted.cancels.add(run)

    def _signal(self, run: str) -> None:
        """Say 1 and then 2, some of it twice: with its key, a message counts once."""
        for number in (1, 2):
            for _ in range(self._rng.choice((1, 1, 2))):
                self._patiently(lambda number=number: say(self._submission, run, number))
                if self._rng.random() < 0.4:
                    self._patiently(lambda number=number: self._submission.sent(command_of(run, number)))
                self._sleep(self._rng.choice((0.0, 0.3)))

    def _patiently(self, ask: Callable[[], Any]) -> Any:
        while True:
            try:
                return ask()
            except Unavailable:
                self._sleep(0.2)

    def _sleep(self, seconds: float) -> None:
        actor = current_actor()
        assert actor is not None
        actor.wait(seconds)


def say(submission: Submission, run: str, number: int) -> bool:
    """Send the signal `go` under a key that says which one it is."""
    body = {"name": "go", "value": number, "by": "", "key": str(number)}
    return submission.send(RunId(run), "signal", msgspec.json.encode(body), command_id=command_of(run, number))


def command_of(run: str, number: int) -> uuid.UUID:
    """Return under which id a signal is sent: a second sending is known by it."""
    return uuid.uuid5(uuid.UUID(run), f"signal/{number}")


class Janitor:
    """Comes when nothing goes wrong any more, and says again what the dead may not have said."""

    name = "janitor"

    def __init__(self, world: World) -> None:
        self.paused_until_ns = 0
        self._world = world
        self._submission = Submission(Session(world.arena.url, purpose="janitor", link=world.network.link(self)))
        world.scheduler.spawn(self.name, self, self._act)

    def _act(self) -> None:
        actor, said = current_actor(), set()
        assert actor is not None
        while True:
            runs = self._world.arena.observer.connection.execute(
                "SELECT id::text FROM kronos.runs WHERE workflow = 'asking' AND finished_at IS NULL ORDER BY id"
            ).fetchall()
            for run in [run for (run,) in runs if run not in said]:
                said.add(run)
                for number in (1, 2):
                    self._say(run, number)
            actor.wait(0.5)

    def _say(self, run: str, number: int) -> None:
        actor = current_actor()
        assert actor is not None
        while True:
            try:
                say(self._submission, run, number)
            except Unavailable:
                actor.wait(0.2)
            else:
                return


class Sweeper:
    """Deletes blobs that nobody needs, again and again; each of its statements takes long."""

    name = "sweeper"
    is_slow = True

    def __init__(self, world: World) -> None:
        self.paused_until_ns = 0
        self._sweep = Sweep(Session(world.arena.url, purpose="sweep", link=world.network.link(self)))
        self._begins_s = world.scheduler.rng.choice((0.0, 0.3, 0.6, 1.0, 1.4))
        self._actor = world.scheduler.spawn(self.name, self, self._act)

    def die(self) -> None:
        self._actor.killed = True
        self.paused_until_ns = 0

    def _act(self) -> None:
        actor = current_actor()
        assert actor is not None
        actor.wait(self._begins_s)  # what nobody refers to is gone after the first time
        while True:
            with suppress(Unavailable, pg.SerializationFailure):
                self._sweep.turn()
            actor.wait(0.05)


class Judging(FaultPlan):
    """Faults, and what must be looked at while it happens."""

    def __init__(self, world: World, mutation: Mutation, **plan: Any) -> None:
        if mutation.kinds:
            plan["kinds"] = mutation.kinds
        super().__init__(f"{world.seed}/faults", **plan)
        self._world = world
        self._mutation = mutation
        self.schedule: list[tuple[str, str]] = []
        self.visited: set[str] = set()
        self._ended: list[int] = []
        """Backends of a leader that is being deposed."""
        self._acting: dict[int, tuple[int, int | None, int | None]] = {}
        """Backend -> number of its transaction, and for whom it acts: an incarnation, or a leader by its epoch."""

    def before(self, connection: SimulatedConnection, name: str, params: Any) -> None:
        self.schedule.append((getattr(current_actor(), "name", "?"), name))
        if name in ACTING:
            self._acting[connection.pid] = connection.transactions, params.get("incarnation"), params.get("epoch")
        super().before(connection, name, params)
        if name == "end_leader":
            self._ended = self._world.backends_of_the_late_leader(params["own"])
        if self.struck and self.struck[-1][0] == self.statements:
            self.visited.add(name)
        connection.wrong = ""  # type: ignore[attr-defined]
        if name == COMMIT and not connection.severed:
            transaction, *who = self._acting.pop(connection.pid, (0, None, None))
            if transaction == connection.transactions:  # one that was rolled back says nothing of the next
                connection.wrong = self._world.watch.commit(*who)  # type: ignore[attr-defined]

    def after(self, connection: SimulatedConnection, name: str, params: Any) -> None:
        if name == COMMIT and connection.wrong:  # type: ignore[attr-defined]
            self._world.watch.broken.append(connection.wrong)  # type: ignore[attr-defined]
        if name == "end_backends":
            self._world.wait_for_ended_backends(params["incarnation"])
        elif name == "end_leader":
            self._world.arena.observer.wait_gone(self._ended)
        super().after(connection, name, params)

    def text(self, name: str, text: str) -> str:
        for order in TIES.get(name, ()):
            assert order + "\n" in text, f"{name}.sql orders otherwise now: look at TIES"
            text = text.replace(order + "\n", f"{order}, id\n")
        return self._mutation.texts.get(name, text)


class World:
    """Everything of one seed."""

    def __init__(
        self,
        arena: Arena,
        served: Served,
        seed: int,
        *,
        aims: Sequence[str],
        mutation: Mutation,
    ) -> None:
        self.arena = arena
        self.served = served
        self.seed = seed
        rng = random.Random(f"{seed}/world")
        aim = aims[seed % len(aims)]  # in turn: each statement has its seeds
        self.is_employed = mutation.needs in ("jobs", "lending") or aim in EMPLOYED
        """Whether somebody asks for jobs, and the nodes take them: and steps of each other's runs."""
        self.is_led = mutation.needs == "leader" or aim in LED or (not self.is_employed and rng.random() < 0.05)
        """Whether the nodes campaign for the lead, and somebody keeps a schedule."""
        self.is_small = self.is_led or self.is_employed
        """Whether there is as little of the rest as may be: what comes on top takes as many statements again."""
        self.is_swept = mutation.needs == "sweep" or aim in SWEPT or (not self.is_small and rng.random() < 0.1)
        self.needed = ("bulk",) if self.is_swept else NEEDED.get(aim, ())
        if mutation.needs == "lending":
            self.needed = ("lending",)
        """The workflows without which the aim would not be reached."""
        self.clock = FakeClock(START - timedelta(seconds=rng.choice((0.8, 1.5))) if self.is_led else START)
        self.scheduler = Scheduler(f"{seed}/turns", clock=self.clock, backends=arena.observer)
        self.accepted = Accepted()
        self.wished = Wished()
        self.watch = Watch(arena.observer.connection, RULES)
        self.plan = Judging(
            self,
            mutation,
            aims=(aim,),
            prelude=mutation.prelude or PRELUDES.get(aim),
            most=rng.choice((1, 2, 3, 5)),
            on_death=self._died,
        )
        self._patience: Final = PRELUDE_MAX if aim in PRELUDES else AIM_MAX
        self.network = Network(
            arena.url,
            observer=arena.observer,
            watched=self.plan,
            seed=str(seed),
            clock=self.clock,
            idle=arena.idle,
        )
        self.plan.network, self.plan.scheduler = self.network, self.scheduler
        count = 2 if self.is_small else rng.choice((2, 2, 2, 2, 3))
        self.nodes = {f"node-{n}": self._node(f"node-{n}") for n in range(count)}
        if self.is_swept:
            self._leave_blobs(rng)
            Sweeper(self)
        self.clients: list[Client | JobClient] = []
        if not self.is_employed or self.needed or rng.random() < 0.3:
            count = 1 if self.is_small else rng.choice((1, 1, 1, 2))
            self.clients += [Client(f"client-{n}", self) for n in range(count)]
        if self.is_employed and not self.needed:
            self.clients += [JobClient(f"asker-{n}", self) for n in range(rng.choice((1, 1, 2)))]

    def _node(self, name: str) -> Node:
        return Node(
            name,
            scheduler=self.scheduler,
            around=self._around,
            delays=self._delays,
            on_execute=self._executes,
            extras=self._lead if self.is_led else lambda _node: {},
        )

    def _executes(self, task: Task, worker: int) -> None:
        if task.job and (wrong := wrong_attempt(self.arena.observer.connection, task, worker)):
            self.watch.broken.append(wrong)
        if task.job != task.run_id:
            self.watch.execution(task.run_id, task.step, task.attempt, worker, task.job)

    def _lead(self, node: Node) -> dict[str, Callable[[], float]]:
        """Return what makes a node a candidate for the lead."""
        link = self.network.link(node)
        candidate = Candidate(
            store=PostgresLeadership(self.arena.url, link=link),
            kind="worker",
            name=node.name,
            lease_s=LEASE_S,
            presence=lambda: Presence(None if node.life is None else node.life.incarnation, self.served.serving.ids),
            duties=[schedules_duty(PostgresSchedules(Session(self.arena.url, purpose="duties", link=link)))],
            monotonic=lambda: self.clock.now_ns() / 1e9,
        )
        return {"campaign": candidate.turn, "lead": candidate.serve}

    def _leave_blobs(self, rng: random.Random) -> None:
        """Leave content of runs that retention has removed: nobody refers to it now, and somebody may again."""
        for digit in range(3):
            data = msgspec.json.encode(str(digit) * flows.BULK)
            self.arena.observer.connection.execute(
                "INSERT INTO kronos.blobs VALUES (%s, %s, %s, %s)",
                (hashlib.sha256(data).digest(), len(data), zstandard.compress(data), START - rng.choice(AGES)),
            )

    def _delays(self, _task: Task) -> tuple[float, float]:
        rng = self.scheduler.rng
        return rng.choice((0.0, 0.0, 0.01, 0.08)), rng.choice((0.0, 0.0, 0.0, 0.07, 0.5))

    def _around(self, node: Node) -> Surroundings:
        link = self.network.link(node)
        clock = self.clock
        return Surroundings(
            name=node.name,
            store=PostgresQueue(self.arena.url, link=link),
            blobs=PostgresBlobs(Session(self.arena.url, purpose="blobs", link=link), kind="dataset", owner="catalog"),
            serving=self.served.serving,
            services=lambda _incarnation, run_clock: Services(
                now_ns=run_clock.now_ns, entropy=self.scheduler.rng.randbytes
            ),
            slots=node.slots,
            tell=lambda _ids: None,
            lease_s=LEASE_S,
            poll_s=POLL_S,
            claim_max=20,
            jobs=PostgresJobs(self.arena.url, link=link) if self.is_employed else None,
            capacity={"thread": 2, "process": 1, "async": 1} if self.is_employed else {},
            clock=lambda database_ns: RunClock(database_ns, clock.now_ns),
            chance=self.scheduler.rng.random,
        )

    def _died(self, process: Any) -> None:
        if isinstance(process, Node):
            again = self.nodes[process.name] = self._node(process.name)
            delay_s = self.scheduler.rng.choice((0.1, 0.5, 1.0))

            def boot() -> None:
                actor = current_actor()
                assert actor is not None
                actor.wait(delay_s)
                again.start()

            self.scheduler.spawn(f"boot {process.name}", None, boot)

    def wait_for_ended_backends(self, incarnation: int) -> None:
        """What the reaper has ended is gone before anybody goes on."""
        pids = self.arena.observer.connection.execute(
            """SELECT b.pid FROM kronos.incarnation_backends b
               JOIN pg_stat_activity a ON a.pid = b.pid AND a.backend_start = b.backend_start
               WHERE b.incarnation = %s""",
            (incarnation,),
        ).fetchall()
        self.arena.observer.wait_gone([pid for (pid,) in pids])

    def backends_of_the_late_leader(self, own: int) -> list[int]:
        """Return whom `end_leader` ends now: whoever campaigns next finds the lock free, however slow the server is."""
        held = """SELECT l.pid FROM pg_locks l WHERE l.pid <> %s AND l.granted
                    AND (l.locktype = 'advisory' AND l.classid = 7306 AND l.objid = 0 AND l.objsubid = 2
                         OR l.relation = 'kronos.leader'::regclass AND l.mode = 'RowShareLock')
                    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                    AND EXISTS (SELECT FROM kronos.leader WHERE until <= %s)"""
        return [pid for (pid,) in self.arena.observer.connection.execute(held, (own, self.clock.now()))]

    def run(self) -> Report:
        """Play the history to its end, and judge it."""
        broken: list[str] = []
        for node in self.nodes.values():
            node.start()
        try:
            self._play(broken)
        except StuckError as error:
            broken.append(str(error))
        self.scheduler.doom()
        self.network.close({actor.executing for actor in self.scheduler.actors})
        self.scheduler.end()
        self.network.forget()
        connection = self.arena.observer.connection
        broken += [f"{who} broke down: {type(error).__name__}: {error}" for who, error in self.scheduler.faults]
        broken += self.watch.broken
        broken += broken_rules(connection, RULES, self.accepted)
        broken += broken_jobs(connection, self.wished)
        return Report(
            self.seed,
            self.plan.aim,
            self.plan.statements,
            self.plan.struck,
            broken,
            _digest(connection),
            self.plan.visited,
            self.plan.schedule,
        )

    def _play(self, broken: list[str]) -> None:
        looked = 0
        janitor: Janitor | None = None
        while True:
            self.scheduler.turn()
            said = all(client.is_over for client in self.clients)
            patience = STRUCK_MAX if self.plan.is_aim_struck else self._patience
            if self.plan.armed and self.plan.statements >= patience:
                self.plan.disarm()
            if janitor is None and said and not self.plan.armed:
                janitor = Janitor(self)
            if said and self.plan.statements >= looked + 8:
                looked = self.plan.statements
                if self._is_over():
                    return
            if self.plan.statements > STATEMENTS_MAX:
                broken.append(f"after {STATEMENTS_MAX} statements runs are still open")
                return

    def _is_over(self) -> bool:
        row = self.arena.observer.connection.execute(
            """SELECT (SELECT count(*) FROM kronos.runs WHERE finished_at IS NULL)
                    + (SELECT count(*) FROM kronos.jobs WHERE finished_at IS NULL)"""
        ).fetchone()
        if row == (0,) and self.is_led and self._is_slot_open():
            return False
        return row == (0,) and not any(actor.process is None for actor in self.scheduler.actors)

    def _is_slot_open(self) -> bool:
        row = self.arena.observer.connection.execute(
            "SELECT count(*) FROM kronos.schedules WHERE next_at <= %s", (START,)
        ).fetchone()
        return row != (0,)


def _digest(connection: psycopg.Connection[Any]) -> str:
    """Return the hash of all that happened."""
    digest = hashlib.sha256()
    for query in (
        "SELECT run_id, seq, count, kind::text, step, attempt, at_ns, body, hash FROM kronos.events ORDER BY 1, 2",
        "SELECT id, workflow, phase::text, input, output, failure, head_seq, created_at FROM kronos.runs ORDER BY 1",
        "SELECT id, name, dead_at, dead_why FROM kronos.incarnations ORDER BY 1",
        # without its order: the rows of one UPDATE come as its plan has them
        "SELECT (to_jsonb(j) - 'n')::text FROM arena.job_journal j ORDER BY 1",
    ):
        for row in connection.execute(query):
            digest.update(repr(row).encode())
    return digest.hexdigest()


def simulate(arena: Arena, served: Served, seed: int, *, aims: Sequence[str], mutation: Mutation) -> Report:
    """Return what became of `seed` in `arena`."""
    arena.reset()
    world = World(arena, served, seed, aims=aims, mutation=mutation)
    with mutation.patched(world):
        return world.run()


__all__ = ["CONNECT", "Arena", "Report", "Served", "World", "simulate"]
