"""Content-addressed bytes: stored once, kept by who refers to them, never silently damaged."""

from __future__ import annotations

import os

import pytest

from kronos.errors import CorruptHistory, NotFound
from kronos.kernel.hashing import content_hash
from kronos.storage.blobs import PostgresBlobs
from kronos.storage.database import Session


@pytest.fixture
def session(database_url):
    session = Session(database_url, purpose="test")
    yield session
    session.close()


@pytest.fixture
def blobs(session):
    return PostgresBlobs(session, kind="dataset", owner="catalog")


def count(owner, table):
    return owner.execute(f"SELECT count(*) FROM kronos.{table}").fetchone()[0]


@pytest.mark.parametrize(
    "data", [b"", b"x", bytes(1_000_000), os.urandom(300_000)], ids=["none", "one", "zeros", "noise"]
)
def test_what_is_put_comes_back_under_its_sha256(blobs, data):
    name = blobs.put(data)
    assert name == content_hash(data)
    assert blobs.get(name) == data


def test_the_same_bytes_are_stored_once(blobs, owner):
    assert blobs.put(b"same") == blobs.put(b"same")
    assert (count(owner, "blobs"), count(owner, "blob_refs")) == (1, 1)


def test_each_owner_that_refers_to_a_blob_is_on_record(blobs, session, owner):
    name = blobs.put(b"shared")
    PostgresBlobs(session, kind="run", owner="r1").put(b"shared")
    assert count(owner, "blobs") == 1
    refs = owner.execute("SELECT kind, owner, encode(blob, 'hex') FROM kronos.blob_refs ORDER BY 1").fetchall()
    assert refs == [("dataset", "catalog", name), ("run", "r1", name)]


def test_a_blob_in_use_is_touched_so_that_no_sweep_takes_it(blobs, owner):
    blobs.put(b"kept")
    owner.execute("UPDATE kronos.blobs SET touched = touched - interval '2 hours'")
    blobs.put(b"kept")
    (fresh,) = owner.execute("SELECT touched > kronos.now() - interval '1 minute' FROM kronos.blobs").fetchone()
    assert fresh


def test_an_unknown_blob_is_not_found(blobs):
    with pytest.raises(NotFound, match=r"0{64} is not stored"):
        blobs.get("0" * 64)


@pytest.mark.parametrize("name", ["xyz", "ab" * 31, "zz" * 32])
def test_what_is_no_hash_is_refused_by_name(blobs, name):
    with pytest.raises(NotFound) as refused:
        blobs.get(name)
    assert name in refused.value.message


@pytest.mark.parametrize("damage", ["'\\x00'::bytea", "''::bytea", "substr(data, 1, length(data) - 2)", "other"])
def test_damaged_bytes_are_corrupt_history_never_other_bytes(blobs, owner, damage):
    name = blobs.put(b"precious" * 100)
    if damage == "other":
        blobs.put(b"worthless" * 100)
        damage = f"(SELECT data FROM kronos.blobs WHERE hash <> '\\x{name}')"
    owner.execute(f"UPDATE kronos.blobs SET data = {damage} WHERE hash = '\\x{name}'")
    with pytest.raises(CorruptHistory, match=name) as found:
        blobs.get(name)
    assert found.value.facts["blob"] == name
