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
from typing import Any, ParamSpec, TypeVar, get_type_hints

from kronos.core.signature import Injected
from kronos.engine.effects import Effects, LiveEffects
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
    on_progress: Callable[[Task, float, float | None], None] = _ignore
    on_log: Callable[[Task, str, dict[str, Any]], None] = _ignore
    database_steps: DatabaseSteps | None = None
    given_up: set[Task] = field(default_factory=set)
    """Attempts that timed out or were cancelled in a thread which still runs them; kept by the slots."""
    _committing: set[Task] = field(default_factory=set)
    _gate: threading.Lock = field(default_factory=threading.Lock)

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

    def progress(self, done: float, total: float | None = None) -> None:
        """Say how far the step is; shown, not recorded."""
        self._services.on_progress(self._task, done, total)

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
