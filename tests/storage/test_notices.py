"""Notices are heard when they are sent, also after the connection was lost, and a listener ends when it is told to."""

from __future__ import annotations

import queue
import time

import psycopg

from kronos.storage.notices import Listener, Notifier

SOON_S = 20.0


def test_a_listener_hears_each_notice_also_after_its_connection_was_ended(database_url):
    heard: queue.Queue[frozenset[str]] = queue.Queue()
    listener, notifier = Listener(database_url, "kronos_runs", heard.put), Notifier(database_url)
    listener.start()
    try:
        assert heard.get(timeout=SOON_S) == frozenset()
        for run in ("a", "b"):
            notifier.runs_changed([run])
            assert heard.get(timeout=SOON_S) == {run}
        with psycopg.connect(database_url, autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'kronos listen kronos_runs' AND datname = current_database()"
            )
        assert heard.get(timeout=SOON_S) == frozenset()
        notifier.runs_changed(["c"])
        assert heard.get(timeout=SOON_S) == {"c"}
    finally:
        notifier.close()
        listener.stop()


def test_a_listener_that_hears_nothing_stops_at_once(database_url):
    spent = []
    for _ in range(3):
        heard: queue.Queue[frozenset[str]] = queue.Queue()
        listener = Listener(database_url, "kronos_work", heard.put)
        listener.start()
        assert heard.get(timeout=SOON_S) == frozenset()
        time.sleep(0.02)
        started = time.perf_counter()
        listener.stop()
        spent.append(time.perf_counter() - started)
    assert min(spent) < 0.08
