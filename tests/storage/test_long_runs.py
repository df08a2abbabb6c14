"""A long run answers at any seq by reading a bounded piece of it, and several readers do not wait for one another."""

from __future__ import annotations

import random
import threading

import msgspec
import pytest

from kronos.core.events import Event, Kind, RunFacts, StepFacts
from kronos.core.state import fold, new_run
from kronos.errors import Unavailable
from kronos.kernel.ids import RunId
from kronos.storage import folds, readers
from kronos.storage.archives import EventPages
from kronos.storage.folds import EVERY, Folds
from kronos.storage.history import PostgresHistory
from kronos.storage.readers import READERS_MAX, Readers

ROWS = 6_000
FACTS = 1 + 5 * ROWS


def long_history():
    yield Event(seq=1, kind=Kind.RUN_STARTED, at=1, facts=RunFacts(workflow="doubled"))
    for i in range(ROWS):
        facts = StepFacts(scheduled=i, started=i, worker=1, input="ab", finished=i, output=msgspec.Raw(b"%d" % i))
        yield Event(seq=6 + 5 * i, kind=Kind.STEP_COMPLETED, at=i, facts=facts, step=f"each[{i}]", attempt=1, count=5)


class CountedPages(EventPages):
    """Counts the rows that it reads."""

    read = 0

    def page(self, *args, **options):
        page = super().page(*args, **options)
        self.read += len(page)
        return page


@pytest.fixture
def connections(database_url):
    found = Readers(database_url, purpose="test")
    yield found
    found.close()


@pytest.fixture
def long_run(desk):
    run = desk.one()
    desk.write(run, list(long_history()))
    return run.id


@pytest.fixture
def history(app, connections):
    found = PostgresHistory(connections, app.blobs)
    found._pages = CountedPages(connections)
    return found


def test_a_seek_reads_a_bounded_piece_and_equals_the_fold_from_the_start(history, long_run):
    assert history.state_at(long_run).seq == FACTS
    chance = random.Random(7)
    events = list(long_history())
    for seq in (FACTS, 1, EVERY, *(chance.randint(1, FACTS) for _ in range(12))):
        history._pages.read = 0
        found = history.state_at(long_run, seq)
        assert history._pages.read <= EVERY / 5 + 2
        assert found == fold(long_run, events, upto=seq)


def test_the_first_look_at_a_position_reads_nothing_that_follows_it(history, long_run):
    assert history.state_at(long_run, 500).seq == 500
    assert history._pages.read <= 101


def test_what_was_appended_since_is_all_that_a_second_look_reads(history, long_run, desk):
    before = history.state_at(long_run)
    history._pages.read = 0
    assert history.state_at(long_run) is before
    assert history._pages.read == 0


def test_folds_are_bounded_and_the_run_looked_at_longest_ago_is_forgotten(monkeypatch):
    monkeypatch.setattr(folds, "FACTS_MAX", 3 * EVERY)
    known = Folds()
    first, second = (msgspec.structs.replace(new_run(RunId(name)), seq=2 * EVERY) for name in "ab")
    known.keep(first)
    known.keep(second)
    assert known.before(RunId("a"), None) == new_run(RunId("a"))
    assert known.before(RunId("b"), None) is second


def test_folds_of_a_very_long_run_stand_further_apart_and_remain_as_many(monkeypatch):
    monkeypatch.setattr(folds, "FACTS_MAX", 10**9)
    known = Folds()
    run = new_run(RunId("a"))
    for i in range(1, 1_000):
        known.keep(msgspec.structs.replace(run, seq=i * EVERY))
    (kept,) = known._runs.values()
    assert folds.SNAPSHOTS_MAX / 2 <= len(kept._seqs) <= folds.SNAPSHOTS_MAX
    assert 500 * EVERY - known.before(run.id, 500 * EVERY).seq < 16 * EVERY


def test_readers_do_not_wait_for_one_another_up_to_their_bound(connections, monkeypatch):
    monkeypatch.setattr(readers, "PATIENCE_S", 0.05)
    inside = threading.Barrier(READERS_MAX + 1)
    leave = threading.Event()

    def read():
        with connections.connection() as connection:
            connection.execute("SELECT 1")
            inside.wait(10)
            leave.wait(10)

    threads = [threading.Thread(target=read) for _ in range(READERS_MAX)]
    for thread in threads:
        thread.start()
    inside.wait(10)
    with pytest.raises(Unavailable, match=f"{READERS_MAX} readers were busy"), connections.connection():
        pass
    leave.set()
    for thread in threads:
        thread.join()
    with connections.connection() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_reader_that_asks_again_is_given_the_connection_that_it_holds(connections):
    with connections.transaction() as outer, connections.connection() as inner:
        assert outer is inner
