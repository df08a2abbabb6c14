"""The catalog's table."""

from __future__ import annotations

import pytest

from kronos.errors import InvalidInput, NotFound
from kronos.ports.datasets import DatasetRow
from kronos.storage.database import Session
from kronos.storage.datasets import PostgresDatasets


def row(digits: str, name: str = "btc") -> DatasetRow:
    return DatasetRow(
        id=(digits + "0" * 64)[:64],
        name=name,
        kind="bars",
        instrument="BTC/USD",
        rows=10,
        start_ns=1,
        end_ns=2,
        manifest=b'{"chunks":[]}',
    )


@pytest.fixture
def index(database_url):
    session = Session(database_url, purpose="test")
    yield PostgresDatasets(session)
    session.close()


def test_a_dataset_is_found_by_name_by_id_and_by_the_beginning_of_its_id(index):
    index.add(row("abcdef012345"))
    for wanted in ("btc", row("abcdef012345").id, "abcdef012345"):
        found = index.find(wanted)
        assert (found.id, found.name, found.manifest) == (row("abcdef012345").id, "btc", b'{"chunks":[]}')
        assert found.created_at_ns > 1_600_000_000 * 10**9


def test_listing_the_same_again_changes_nothing(index):
    index.add(row("aa"))
    index.add(row("aa"))
    assert len(index.all()) == 1


def test_a_name_means_its_newest_dataset_and_all_are_listed_newest_first(index):
    index.add(row("aa"))
    index.add(row("bb"))
    assert index.find("btc").id == row("bb").id
    assert [each.id for each in index.all()] == [row("bb").id, row("aa").id]


def test_an_unknown_name_lists_the_known_ones(index):
    with pytest.raises(NotFound, match="none is imported yet"):
        index.find("eth")
    index.add(row("aa"))
    with pytest.raises(NotFound, match="'eth' is not in the catalog; known: btc"):
        index.find("eth")


def test_the_beginning_of_several_ids_is_refused(index):
    index.add(row("abcdefabcdef1", "one"))
    index.add(row("abcdefabcdef2", "two"))
    with pytest.raises(InvalidInput, match="give more digits"):
        index.find("abcdefabcdef")
    assert index.find("abcdefabcdef2").name == "two"


def test_one_dataset_may_have_two_names(index):
    index.add(row("aa", "one"))
    index.add(row("aa", "two"))
    assert index.find("one").id == index.find("two").id == index.find(row("aa").id).id


def test_a_listing_is_found_by_name_and_id_together(index):
    index.add(row("aa", "one"))
    index.add(row("aa", "two"))
    full = index.find("one").id
    assert [index.find(f"{name}@{full}").name for name in ("one", "two")] == ["one", "two"]
