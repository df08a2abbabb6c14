"""What waits to be sent: dominance, one in flight, token buckets, the order of sending."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kronos.errors import InvalidInput, TransitionError
from kronos.trading.buckets import Rate, level_at, open_bucket, ready_at, take
from kronos.trading.events import Deferred, OutboxDiscarded, OutboxQueued, OutboxSent, OutboxWoken
from kronos.trading.outbox import (
    CANCEL,
    DOMINANCE,
    NEW,
    RANK,
    REPLACE,
    Command,
    Outbox,
    Outcome,
    meet,
    next_wake,
    open_route,
    plan,
)
from kronos.trading.outbox_fold import APPLY
from kronos.trading.terms import MARKET

SECOND = 1_000_000_000


def command(order_id: int, kind: str, place: int = 0, *, route: int = 0) -> Command:
    at = place or order_id
    return Command(order_id=order_id, instrument=0, kind=kind, route=route, cause=at, place=at)


def box(*commands: Command, **more) -> Outbox:
    return Outbox(queued={each.order_id: each for each in commands}, **more)


@pytest.mark.parametrize(("queued", "incoming"), list(product((NEW, REPLACE, CANCEL), repeat=2)))
def test_cancel_dominates_replace_dominates_new_and_the_latest_of_a_kind_wins(queued, incoming) -> None:
    outcome = meet(command(1, queued), incoming)
    if RANK[incoming] > RANK[queued]:
        assert outcome is Outcome.DISCARD
    elif queued == NEW and incoming != NEW:
        assert outcome is (Outcome.REMOVE if incoming == CANCEL else Outcome.UPDATE)
    else:
        assert outcome is Outcome.SUPERSEDE
    assert meet(None, incoming) is Outcome.QUEUE
    assert len(DOMINANCE) == 9


def test_cancels_go_first_then_replaces_then_news_each_first_in_first_out() -> None:
    kinds = [NEW, CANCEL, REPLACE, NEW, CANCEL, REPLACE]
    outbox = box(*(command(at + 1, kind) for at, kind in enumerate(kinds)))
    assert [each.order_id for each in plan(outbox, 0).sends] == [2, 5, 3, 6, 1, 4]


def test_a_second_command_for_an_order_waits_for_the_first_one_cancels_too() -> None:
    outbox = box(command(1, CANCEL), command(2, CANCEL), in_flight={1: NEW})
    assert [each.order_id for each in plan(outbox, 0).sends] == [2]
    assert plan(outbox, 0).deferred == []  # it waits for a report, not for time


def test_an_empty_bucket_defers_its_first_command_once_and_holds_up_nothing_else() -> None:
    route = open_route(orders=Rate(limit=2), cancels=Rate(limit=1))
    news = [command(at, NEW) for at in range(1, 5)]
    other = command(9, NEW, route=1)
    outbox = box(*news, command(5, CANCEL), command(6, CANCEL), other, routes={0: route})
    decided = plan(outbox, 7)
    assert [each.order_id for each in decided.sends] == [5, 1, 2, 9]
    assert [(each.command.order_id, each.until - 7) for each in decided.deferred] == [(6, SECOND), (3, SECOND // 2)]
    assert route.orders is not None
    assert level_at(route.orders, 7) == 2 * SECOND  # planning pays nothing


def test_a_deferral_is_woken_by_a_record_and_by_nothing_before_its_time() -> None:
    outbox = box(command(1, NEW), routes={0: open_route(orders=Rate(limit=1))})
    APPLY[Deferred](outbox, Deferred(0, 1, 0, 0, (), 1, 0, 500))
    assert next_wake(outbox) == 500
    APPLY[OutboxWoken](outbox, OutboxWoken(0, 2, 0, 0, (), 499))
    assert next_wake(outbox) == 500
    APPLY[OutboxWoken](outbox, OutboxWoken(0, 3, 0, 0, (), 500))
    assert next_wake(outbox) == 0


@settings(max_examples=60)
@given(
    st.integers(1, 7), st.integers(1, 1000), st.integers(0, 9), st.lists(st.integers(0, 400), min_size=1, max_size=60)
)
def test_a_burst_is_spread_to_the_rate_and_none_is_lost(limit, period, burst, gaps) -> None:
    """However messages arrive, no window of `period` sees more than burst + limit of them, and each is let through."""
    bucket = open_bucket(Rate(limit=limit, period_ns=period, burst=burst))
    now, sent = 0, []
    for gap in gaps:
        now = ready_at(bucket, now + gap)
        take(bucket, now)
        sent.append(now)
    assert len(sent) == len(gaps)
    for start in sent:
        assert sum(start <= at < start + period for at in sent) <= (burst or limit) + limit


def test_a_token_is_there_at_the_first_nanosecond_that_pays_for_it_and_not_before() -> None:
    bucket = open_bucket(Rate(limit=3, period_ns=10, burst=1))
    take(bucket, 100)
    first = ready_at(bucket, 100)
    assert first == 104  # ceil(10 / 3)
    assert ready_at(bucket, 103) == 104
    with pytest.raises(AssertionError, match="a token is taken at 103"):
        take(bucket, 103)
    take(bucket, 104)
    assert ready_at(bucket, 50) == 108  # a full bucket spills, and time does not run back


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"limit": 0}, "limit 0 is below 1"),
        ({"limit": 1, "period_ns": 0}, "period_ns 0 is below 1"),
        ({"limit": 1, "burst": -1}, "burst -1 is below 0"),
        ({"limit": 2**40, "period_ns": 2**40}, "reaches 2\\^62: shorten the period"),
    ],
)
def test_a_rate_that_no_bucket_can_keep_is_refused(asked, said) -> None:
    with pytest.raises(InvalidInput, match=said):
        Rate(**asked)


def test_what_supersedes_keeps_the_place_and_what_was_superseded_is_named() -> None:
    outbox = Outbox()
    for cause in (10, 20, 30):
        APPLY[OutboxQueued](outbox, OutboxQueued(0, 1, 0, 0, (cause,), 1, 0, REPLACE, 0, cause, MARKET))
    APPLY[OutboxDiscarded](outbox, OutboxDiscarded(0, 1, 0, 0, (30,), 1, REPLACE, 20, "superseded"))
    assert (outbox.queued[1].place, outbox.queued[1].cause) == (10, 30)
    APPLY[OutboxDiscarded](outbox, OutboxDiscarded(0, 1, 0, 0, (30,), 1, REPLACE, 30, "order_finished"))
    assert outbox.queued == {}


def test_a_sending_that_the_queue_does_not_know_is_refused() -> None:
    sent = OutboxSent(3, 1, 0, 0, (), 1, NEW, 0, 5)
    with pytest.raises(TransitionError, match="nothing waits and nothing is in flight"):
        APPLY[OutboxSent](Outbox(), sent)
    with pytest.raises(TransitionError, match="new waits and cancel is in flight"):
        APPLY[OutboxSent](box(command(1, NEW), in_flight={1: CANCEL}), sent)
