"""A command that is read twice counts once, also when the second reading arrives after its row was deleted."""

from __future__ import annotations

from kronos.engine.taken import TakenCommands


def test_a_number_is_kept_until_no_batch_that_was_read_before_the_commit_can_arrive():
    taken = TakenCommands()
    taken.add([7])
    taken.deleted([7], waiting=1)  # one batch waits, another may be under way
    assert 7 in taken
    taken.took_batch()
    assert 7 in taken, "the batch that was under way may hold it"
    taken.took_batch()
    assert 7 not in taken


def test_what_the_store_refused_counts_when_it_is_read_again():
    taken = TakenCommands()
    taken.add([7, 8])
    taken.read_again([7])
    assert 7 not in taken
    assert 8 in taken


def test_what_is_deleted_later_is_forgotten_later():
    taken = TakenCommands()
    taken.add([1, 2])
    taken.deleted([1], waiting=0)
    taken.took_batch()
    taken.deleted([2], waiting=2)
    for expected in (True, True, False):
        taken.took_batch()
        assert (2 in taken) is expected
    assert 1 not in taken
