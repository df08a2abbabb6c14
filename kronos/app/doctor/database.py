"""What is wrong around the runs: the server and its promises, what holds vacuum up, workers, space, clocks."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from kronos.app.doctor.explaining import WorkerLine
from kronos.app.doctor.remark import Remark, shown_s

__all__ = ["Ask", "examine"]


class Ask(Protocol):
    """Returns the rows of a statement."""

    def __call__(self, name: str, at: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]: ...


WEEKS_AHEAD_MIN: Final = 2
DISK_FREE_MIN: Final = 2 * 1024**3
OFFSET_S_MAX: Final = 2.0
LONG_S: Final = 300.0
"""Transactions may be open so long; no statement of ours needs it."""
CONNECTIONS_SHARE_MAX: Final = 0.85
_GIB: Final = 1024**3


class _Server(NamedTuple):
    version: str
    fsync: str
    full_page_writes: str
    synchronous_commit: str
    connections_max: int
    connections: int
    has_role: bool
    may_take_role: bool
    bytes: int


def examine(ask: Ask, data_dir: Path) -> Iterator[Remark]:
    """Yield one remark or more on each topic."""
    server = _Server(*ask("doctor/read_server")[0])
    yield from _server(server)
    yield from _role(server)
    yield from _workers([WorkerLine(*row) for row in ask("doctor/read_workers")])
    yield _leader(ask)
    yield from _partitions(ask)
    yield from _retention(ask)
    yield from _vacuum(ask)
    yield _disk(data_dir)
    yield _clock(ask)


def _server(server: _Server) -> Iterator[Remark]:
    unsafe = [name for name in ("fsync", "full_page_writes") if getattr(server, name) != "on"]
    size = f"PostgreSQL {server.version}, {server.bytes / _GIB:.2f} GiB"
    if unsafe:
        what = f"{size}: {' and '.join(unsafe)} is off: a crash of the machine may lose or damage history"
        yield Remark(topic="server", level="bad", what=what, do="set it to on in postgresql.conf")
    elif server.synchronous_commit == "off":
        what = f"{size}: synchronous_commit is off: a crash may lose the last outcomes"
        yield Remark(topic="server", level="bad", what=what, do="set it to on")
    else:
        yield Remark(topic="server", level="ok", what=f"{size}, durable")
    used = f"{server.connections} of {server.connections_max} connections are used"
    full = server.connections > server.connections_max * CONNECTIONS_SHARE_MAX
    do = "raise max_connections, or run fewer processes" if full else ""
    yield Remark(topic="connections", level="bad" if full else "ok", what=used, do=do)


def _role(server: _Server) -> Iterator[Remark]:
    if server.may_take_role:
        yield Remark(
            topic="role", level="ok", what="work connections take the role kronos_runtime, which cannot change history"
        )
        return
    what = "may not be taken by this login" if server.has_role else "does not exist"
    yield Remark(
        topic="role",
        level="note",
        what=f"the role kronos_runtime {what}: triggers alone keep history from being changed",
        do="as a superuser: CREATE ROLE kronos_runtime NOLOGIN, GRANT it to this login, and give it its rights",
    )


def _workers(workers: list[WorkerLine]) -> Iterator[Remark]:
    for worker in workers:
        who = f"{worker.name} (incarnation {worker.id}, {worker.host} pid {worker.pid}) owns {worker.runs} runs"
        if worker.is_silent:
            since = "ever" if worker.silent_s is None else shown_s(worker.silent_s)
            do = "its runs are given back within a second where another worker lives: start one"
            yield Remark(topic="worker", level="bad", what=f"{who} and is silent since {since}", do=do)
        else:
            yield Remark(topic="worker", level="ok", what=who)
    if not workers:
        do = "runs wait until one is started: kronos worker --workflows MODULE"
        yield Remark(topic="worker", level="note", what="no worker lives", do=do)


def _leader(ask: Ask) -> Remark:
    for epoch, name, left_s in ask("doctor/read_leader"):
        what = f"{name} leads (epoch {epoch}), for {shown_s(left_s)} unless it renews"
        return Remark(topic="leader", level="ok", what=what)
    do = "schedules fire and history is kept once a worker or server is up"
    return Remark(topic="leader", level="note", what="nobody leads", do=do)


def _partitions(ask: Ask) -> Iterator[Remark]:
    for name, ahead in ask("doctor/count_partitions"):
        low = ahead < WEEKS_AHEAD_MIN
        do = "start a worker or any kronos command: each makes them" if low else ""
        what = f"class {name} has partitions for {ahead} weeks ahead"
        yield Remark(topic="partitions", level="bad" if low else "ok", what=what, do=do)


def _retention(ask: Ask) -> Iterator[Remark]:
    for leaf, _, _, _, pins, example, phase in ask("retention/find_due"):
        if not pins:
            continue
        what = f"{leaf} is due and kept by {pins} runs, such as {example}, which is {phase}"
        do = "it goes once they have ended and are old enough: cancel what nobody waits for"
        yield Remark(topic="retention", level="note", what=what, do=do)


def _vacuum(ask: Ask) -> Iterator[Remark]:
    long = ask("doctor/find_long_transactions", {"older_s": LONG_S})
    held = ask("doctor/find_held_snapshots", {"older_s": LONG_S})
    for pid, name, state, open_s, query in long:
        what = f"pid {pid} ({name}) is {state} in a transaction since {shown_s(open_s)}: {query}"
        do = f"vacuum removes nothing that died since: SELECT pg_terminate_backend({pid})"
        yield Remark(topic="vacuum", level="bad", what=what, do=do)
    for name, transactions in held:
        what = f"{name} is {transactions:,} transactions old: vacuum removes nothing younger"
        yield Remark(topic="vacuum", level="bad", what=what, do="drop it if nobody uses it")
    if not long and not held:
        yield Remark(topic="vacuum", level="ok", what="nothing holds old row versions")


def _disk(data_dir: Path) -> Remark:
    folder = next(each for each in (data_dir, *data_dir.resolve().parents) if each.is_dir())
    free = shutil.disk_usage(folder).free
    low = free < DISK_FREE_MIN
    do = "make room: a full disk stops every run" if low else ""
    return Remark(
        topic="disk", level="bad" if low else "ok", what=f"{free / _GIB:.1f} GiB are free under {data_dir}", do=do
    )


def _clock(ask: Ask) -> Remark:
    before = time.time_ns()
    ((database_ns,),) = ask("doctor/read_clock")
    offset_s = (database_ns - (before + time.time_ns()) / 2) / 1e9
    what = f"the database's clock is {offset_s:+.3f} s from this machine's"
    if abs(offset_s) <= OFFSET_S_MAX:
        return Remark(topic="clock", level="ok", what=what)
    return Remark(topic="clock", level="note", what=what, do="runs keep the database's time; set this machine's clock")
