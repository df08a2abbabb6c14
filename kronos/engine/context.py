"""What a step sees of its surroundings, when it asks for a `StepContext`.

Rule 1: time, chance and foreign calls are asked of the context, which records the answers (`engine.effects`).
Rule 2: it holds no clock and no database of its own: everything is given by the services.
"""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, ParamSpec, TypeVar, get_type_hints

from kronos.core.attributes import check_attribute
from kronos.core.costs import Costs, check_count, usd_text
from kronos.core.events import Attribute
from kronos.core.signature import Injected
from kronos.engine.effects import Effects, LiveEffects
from kronos.engine.reports import Reports
from kronos.engine.tasks import Task
from kronos.errors import Cancelled, InvalidInput, Unavailable
from kronos.kernel import canonical
from kronos.kernel.hashing import content_hash
from kronos.kernel.ids import RunId, StepName
from kronos.ports import Blobs, DatasetIndex, Recorder
from kronos.ports.transactions import DatabaseSteps

__all__ = ["Services", "StepContext"]

P = ParamSpec("P")
R = TypeVar("R")

PROGRESS_BYTES_MAX = 4_096
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _unavailable(task: Task) -> Any:
    raise Unavailable(f"step {task.step!r} asks for a recorder, and this engine was started without one")


def _ignore(*_: object) -> None:
    pass


@dataclass(frozen=True, kw_only=True)
class Services:
    """What slots need of the engine; one object for all tasks.

    `now_ns` reads the run clock (ns since the epoch), `entropy(n)` gives n random bytes, `effects` the source of
    answers for one attempt (a recording, in replay), `recorder` its journal, `checkpoint_key` what seals its
    checkpoints.  `open_datasets` returns `ctx.datasets`;
    `datasets_in_child` names how a process child makes its own: (`module:function`, its keyword arguments), called
    with `blobs=` and `index=` added, both of which ask this process.
    """

    now_ns: Callable[[], int]
    entropy: Callable[[int], bytes]
    effects: Callable[[Task], Effects] = lambda _task: LiveEffects()
    recorder: Callable[[Task], Recorder] = _unavailable
    blobs: Blobs | None = None
    index: DatasetIndex | None = None
    open_datasets: Callable[[], Any] = lambda: None
    checkpoint_key: bytes | None = None
    datasets_in_child: tuple[str, dict[str, Any]] | None = None
    on_log: Callable[[Task, str, dict[str, Any]], None] = _ignore
    database_steps: DatabaseSteps | None = None
    reports: Reports = field(init=False)
    """What attempts report while they run."""
    given_up: set[Task] = field(default_factory=set)
    """Attempts that timed out or were cancelled in a thread which still runs them; kept by the slots."""
    _committing: set[Task] = field(default_factory=set)
    _gate: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        object.__setattr__(self, "reports", Reports(self.now_ns))

    def give_up(self, task: Task) -> bool:
        """Let nothing more of an attempt count; False where it is committing, and will say itself how it ended."""
        with self._gate:
            if task in self._committing:
                return False
            self.given_up.add(task)
            return True

    def begin_commit(self, task: Task) -> None:
        """Let an attempt commit; raise `Cancelled` where it was given up.  `end_commit` follows."""
        with self._gate:
            if task in self.given_up:
                raise Cancelled(f"step {task.step!r} was given up before it could commit")
            self._committing.add(task)

    def end_commit(self, task: Task) -> None:
        """Say how it went, by whatever comes next."""
        with self._gate:
            self._committing.discard(task)

    def context(self, task: Task) -> StepContext:
        """Return the surroundings of one attempt."""
        return StepContext(task, self)


class StepContext(Injected):
    """A step's window to the world; annotate a parameter with it and the engine passes it in."""

    __slots__ = ("_effects", "_random", "_recorder", "_services", "_task")

    def __init__(self, task: Task, services: Services) -> None:
        self._task = task
        self._services = services
        self._effects = services.effects(task)
        self._random: random.Random | None = None
        self._recorder: Recorder | None = None

    @property
    def run_id(self) -> RunId:
        return self._task.run_id

    @property
    def step(self) -> StepName:
        return self._task.step

    @property
    def attempt(self) -> int:
        """1 for the first try."""
        return self._task.attempt

    @property
    def effects(self) -> Effects:
        """The source of answers; `effects.learned` is what goes into the record."""
        return self._effects

    def now(self) -> datetime:
        """Return the time, in UTC; the recorded one in replay."""
        ns = int(self._effects.learn("now", "", lambda: b"%d" % self._services.now_ns()))
        return _EPOCH + timedelta(microseconds=ns // 1000)

    @property
    def random(self) -> random.Random:
        """A generator of this attempt's own; its seed is recorded, so its draws are the same in replay."""
        if self._random is None:
            seed = self._effects.learn("random", "", lambda: b'"%s"' % self._services.entropy(16).hex().encode())
            self._random = random.Random(int(seed.strip(b'"'), 16))  # noqa: S311 - reproducible on purpose
        return self._random

    def uuid(self) -> uuid.UUID:
        """Return a random UUID; the recorded one in replay."""
        text = self._effects.learn(
            "uuid", "", lambda: b'"%s"' % str(uuid.UUID(bytes=self._services.entropy(16), version=4)).encode()
        )
        return uuid.UUID(text.strip(b'"').decode())

    def call(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Return what `fn` returns and record it; in replay the recorded result is returned and `fn` is not called.

        The result is of the type that `fn` declares, as it stands after its round trip through JSON.
        """
        kind = _returns(fn)
        key = f"{fn.__module__}:{fn.__qualname__}{_argument_digest(args, kwargs)}"
        value = self._effects.learn("call", key, lambda: canonical.encode(fn(*args, **kwargs)))
        result: R = canonical.decode(value, kind)
        return result

    @property
    def recorder(self) -> Recorder:
        """Where a trading runtime writes its journal."""
        if self._recorder is None:
            self._recorder = self._services.recorder(self._task)
        return self._recorder

    @property
    def checkpoint_key(self) -> bytes | None:
        """What authenticates checkpoints; without one none are made."""
        return self._services.checkpoint_key

    @property
    def blobs(self) -> Blobs:
        if self._services.blobs is None:
            raise Unavailable(f"step {self.step!r} asks for blobs, and this engine was started without a store")
        return self._services.blobs

    @property
    def datasets(self) -> Any:
        return self._services.open_datasets()

    @property
    def cancelled(self) -> bool:
        """Whether this attempt was given up: long loops in a thread look here, since a thread cannot be stopped."""
        return self._task in self._services.given_up

    def check_cancelled(self) -> None:
        """Raise `Cancelled` where this attempt was given up."""
        if self.cancelled:
            raise Cancelled(f"step {self.step!r} was cancelled")

    def heartbeat(self, progress: Any = None) -> None:
        """Say that the step is alive, and how far it is: any value; shown live, not recorded.

        A step with a `heartbeat_timeout` that says nothing for so long is given up and fails.  Raises `Cancelled`
        where the attempt was given up.
        """
        self.check_cancelled()
        told = canonical.encode(progress)
        if len(told) > PROGRESS_BYTES_MAX:
            raise InvalidInput(
                f"progress: {len(told):,} bytes are more than {PROGRESS_BYTES_MAX:,}", field="progress", value=len(told)
            )
        self._services.reports.beat(self._task, told)

    def progress(self, done: float, total: float | None = None) -> None:
        """Say how far the step is, which is a sign of life too; shown, not recorded."""
        self.heartbeat({"done": done, "total": total})

    def cost(self, *, usd: Decimal | str | int = 0, tokens_in: int = 0, tokens_out: int = 0, calls: int = 1) -> None:
        """Add to what this attempt has cost: `usd` exactly (a Decimal or a text, no float), tokens, calls of models.

        It is recorded with the attempt, however that ends, and summed for the run.
        """
        for field_name, value in (("tokens_in", tokens_in), ("tokens_out", tokens_out), ("calls", calls)):
            check_count(field_name, value)
        costs = Costs(calls=calls, tokens_in=tokens_in, tokens_out=tokens_out, usd=usd_text(usd))
        self._services.reports.cost(self._task, costs)

    def set_attribute(self, name: str, value: Attribute | None) -> None:
        """Set a searchable attribute of the run (None removes it), on record when this attempt has ended."""
        check_attribute(name, value)
        self._services.reports.attribute(self._task, name, value)

    def log(self, message: str, **fields: Any) -> None:
        """Write one line to the worker's log, with the run and step beside it."""
        self._services.on_log(self._task, message, fields)


def _returns(fn: Callable[..., Any]) -> Any:
    try:
        return get_type_hints(fn, include_extras=True).get("return", Any)
    except (NameError, TypeError):
        return Any


def _argument_digest(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """Return twelve digits that tell calls with other arguments apart; nothing where they cannot be written down."""
    try:
        return "#" + content_hash(canonical.encode([list(args), kwargs]))[:12]
    except InvalidInput:
        return ""
