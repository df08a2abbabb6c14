"""One leads at a time, a standby takes over in time, and a leader whose epoch is over does nothing more."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

import pytest

from kronos import Kronos
from kronos.errors import LeaseLost, Unavailable
from kronos.ports.leading import Presence
from kronos.storage.leading import PostgresLeadership, leading
from tests.leader.pooler import TransactionPooler


def until(holds, within_s=5.0):
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.01)


def test_of_two_candidates_one_leads_and_goes_on_leading(make_hand):
    first, second = make_hand(lease_s=1.0), make_hand(lease_s=1.0)
    for _ in range(6):  # longer than a lease
        first.candidate.turn()
        second.candidate.turn()
        time.sleep(0.2)
    assert first.epoch == 1
    assert second.epoch is None


def test_a_leader_that_vanishes_is_replaced_when_its_lease_has_run_out_and_not_before(make_hand):
    first, second = make_hand(lease_s=1.0), make_hand()
    first.candidate.turn()
    began = time.monotonic()
    first.vanish()
    second.candidate.turn()
    assert second.epoch is None, "its lease has not run out"
    until(lambda: second.candidate.turn() and second.epoch == 2)
    assert time.monotonic() - began > 0.9


def test_a_leader_that_leaves_in_order_is_replaced_at_once(make_hand):
    first, second = make_hand(lease_s=30), make_hand(lease_s=30)
    first.candidate.turn()
    first.candidate.stop()
    second.candidate.turn()
    assert second.epoch == 2


def test_a_leader_whose_epoch_is_over_can_write_nothing(make_hand, app):
    first, second = make_hand(), make_hand()
    first.candidate.turn()
    stale = first.candidate.term
    first.store.close()  # its lock is free; the process itself still believes
    until(lambda: second.candidate.turn() and second.epoch == 2)
    with pytest.raises(LeaseLost, match="epoch 1 is over"):
        first.schedules.fire_due(stale)


def test_a_transaction_that_an_old_leader_left_open_is_ended_by_the_takeover(make_hand, app):
    first, second = make_hand(), make_hand()
    first.candidate.turn()

    def hang() -> None:
        with leading(first.session, first.candidate.term) as connection:
            connection.execute("DELETE FROM kronos.definitions")
            until(lambda: second.candidate.turn() and second.epoch == 2)
            connection.execute("SELECT 1")

    with pytest.raises(Unavailable):
        hang()
    assert app.history.definitions(), "what it had done in it is undone"


def test_a_lock_that_outlives_its_leader_is_taken_from_a_connection_that_is_half_open(make_hand, database_url):
    first, second = make_hand(), make_hand()
    first.candidate.turn()
    # the process is gone and its connection is not: the lock stays held, nobody renews
    until(lambda: second.candidate.turn() and second.epoch == 2)
    with suppress(Unavailable):  # where the loss of its connection is not seen before it is used
        assert not first.store.renew(first.candidate._term, 1.0)


def test_a_renewal_does_not_wait_for_a_duty(make_hand):
    hand = make_hand()
    hand.candidate.turn()
    with leading(hand.session, hand.candidate.term):
        assert hand.store.renew(hand.candidate.term, 5.0)  # did it wait, it would wait for the end of this block


def test_a_leader_that_cannot_renew_stops_by_its_own_clock_before_its_lease_runs_out(make_hand):
    hand = make_hand(lease_s=0.4)
    hand.candidate.turn()
    assert hand.epoch == 1
    time.sleep(0.36)
    assert hand.epoch is None
    hand.candidate.serve()
    assert hand.fired == 0


def test_duties_are_done_by_the_leader_alone(make_hand):
    first, second = make_hand(), make_hand()
    for hand in (first, second):
        hand.candidate.turn()
        hand.candidate.serve()
    assert (first.fired, second.fired) == (1, 0)


def test_nodes_say_who_is_up_who_leads_and_what_they_serve(app, make_hand):
    worker = app.worker(name="worker-a").start()
    try:
        until(lambda: app.nodes.leader() is not None)
        make_hand().candidate.turn()
        until(lambda: any(node.definitions for node in app.nodes.list()))
        first, second = app.nodes.list()
        assert (first.name, first.kind, first.leads, first.is_up) == ("worker-a", "worker", True, True)
        assert first.definitions == tuple(app.definitions.ids)
        assert first.incarnation == worker.worker.incarnation
        assert (second.leads, second.is_up) == (False, True)
    finally:
        worker.stop()
    assert [node.name for node in app.nodes.list()] == [second.name]


def test_a_pooler_in_transaction_mode_is_refused_with_the_reason(database_url):
    with TransactionPooler(database_url) as pooler:
        store = PostgresLeadership(pooler.url)
        with pytest.raises(Unavailable, match="pooler in transaction mode"):
            store.join(kind="worker", name="pooled", lease_s=1)
        store.close()


def test_a_worker_behind_such_a_pooler_does_not_begin(app, database_url):
    with TransactionPooler(database_url) as pooler:
        worker = Kronos(app.settings, pooler.url).worker(name="pooled")
        with pytest.raises(Unavailable, match="pooler in transaction mode"):
            worker.start()
    assert app.nodes.list() == []


def test_a_pooler_that_comes_between_later_is_found_at_the_next_turn(database_url):
    with TransactionPooler(database_url, swapping=False) as pooler:
        store = PostgresLeadership(pooler.url)
        node = store.join(kind="worker", name="pooled", lease_s=1)
        standing = store.campaign(node, 1.0)
        assert standing.term is not None
        pooler.swapping = True

        def turns() -> None:
            for _ in range(3):
                store.renew_presence(node, Presence(None, ()))
                store.renew(standing.term, 1.0)

        with pytest.raises(Unavailable, match="pooler in transaction mode"):
            turns()
        store.close()


def test_candidates_of_many_threads_never_lead_together(make_hand):
    hands = [make_hand(lease_s=0.3) for _ in range(4)]
    epochs: list[int] = []
    stop = time.monotonic() + 1.2

    def compete(hand):
        while time.monotonic() < stop:
            before = hand.epoch
            hand.candidate.turn()
            if hand.epoch is not None and hand.epoch != before:
                epochs.append(hand.epoch)
                time.sleep(0.02)
                hand.candidate._store.resign(hand.candidate.term)
                hand.candidate._term = None
                time.sleep(0.05)

    threads = [threading.Thread(target=compete, args=(hand,)) for hand in hands]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(epochs) > 3
    assert len(epochs) == len(set(epochs))
