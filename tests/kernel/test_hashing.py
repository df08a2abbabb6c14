"""Names of content and chains of histories."""

from __future__ import annotations

import hashlib

from hypothesis import assume, given
from hypothesis import strategies as st

from kronos.kernel.hashing import GENESIS, chain, content_hash, input_digest, merkle_root

PARTS = st.lists(st.binary(max_size=12), max_size=5)
LEAVES = st.lists(st.binary(min_size=32, max_size=32).map(bytes.hex), min_size=1, max_size=9)


@given(PARTS, PARTS)
def test_different_parts_never_meet_in_one_head(left, right):
    assume(left != right)
    assert chain(GENESIS, *left) != chain(GENESIS, *right)


def test_a_chain_covers_lengths_so_bytes_cannot_move_between_parts():
    assert chain(GENESIS, b"ab", b"c") != chain(GENESIS, b"a", b"bc") != chain(GENESIS, b"abc")
    assert chain(GENESIS, b"") != chain(GENESIS)


@given(st.lists(PARTS, min_size=1, max_size=6), st.data())
def test_a_change_anywhere_changes_every_later_head(history, data):
    at = data.draw(st.integers(0, len(history) - 1))
    changed = [list(parts) for parts in history]
    changed[at].append(b"x")

    def heads(parts_of):
        head, found = GENESIS, []
        for parts in parts_of:
            head = chain(head, *parts)
            found.append(head)
        return found

    before, after = heads(history), heads(changed)
    assert before[:at] == after[:at]
    assert all(a != b for a, b in zip(before[at:], after[at:], strict=True))


@given(LEAVES, st.data())
def test_a_merkle_root_names_the_leaves_and_their_order(leaves, data):
    at = data.draw(st.integers(0, len(leaves) - 1))
    other = leaves.copy()
    other[at] = hashlib.sha256(bytes.fromhex(leaves[at])).hexdigest()
    assert merkle_root(leaves) == merkle_root(list(leaves))
    assert merkle_root(other) != merkle_root(leaves)
    if leaves[::-1] != leaves:
        assert merkle_root(leaves[::-1]) != merkle_root(leaves)


@given(LEAVES)
def test_no_inner_node_passes_for_a_leaf(leaves):
    assume(len(leaves) > 1)
    assert merkle_root([merkle_root(leaves)]) != merkle_root(leaves)
    assert merkle_root([*leaves, leaves[-1]]) != merkle_root(leaves)


def test_the_root_of_one_leaf_is_as_rfc_6962_says():
    leaf = content_hash(b"bar")
    assert merkle_root([leaf]) == hashlib.sha256(b"\x00" + bytes.fromhex(leaf)).hexdigest()
    assert merkle_root([]) == hashlib.sha256(b"").hexdigest()


@given(st.binary(max_size=100))
def test_names_have_their_declared_length(data):
    assert len(content_hash(data)) == 64
    assert len(input_digest(data)) == 32
    assert content_hash(memoryview(data)) == content_hash(data)
