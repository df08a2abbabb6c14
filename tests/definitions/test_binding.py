"""Splicing canonical bytes gives what decoding, filling in and encoding would give."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kronos.core.binding import Binding, Reference
from kronos.kernel import canonical

TEXT = st.one_of(st.sampled_from(["a", "b", "$", "$from", "$input", "$float", "$$a", 'é\x00"\\']), st.text(max_size=5))
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(), TEXT)
VALUES = st.recursive(LEAVES, lambda v: st.lists(v, max_size=3) | st.dictionaries(TEXT, v, max_size=3), max_leaves=8)
OUTPUTS = st.fixed_dictionaries({"one": VALUES, "two": VALUES})


def paths_into(value: Any) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = [()]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += [(key, *path) for path in paths_into(item)]
    return found


@st.composite
def bindings(draw):
    run_input, outputs = draw(VALUES), draw(OUTPUTS)
    sources = {None: run_input, **outputs}

    def reference() -> Any:
        step = draw(st.sampled_from([None, "one", "two"]))
        return Reference(step, draw(st.sampled_from(paths_into(sources[step])))).tree()

    def tree(depth: int) -> Any:
        kind = draw(
            st.sampled_from(["reference", "literal", "list", "dict"] if depth < 3 else ["reference", "literal"])
        )
        if kind == "reference":
            return reference()
        if kind == "literal":
            return canonical.to_plain(draw(VALUES))
        if kind == "list":
            return [tree(depth + 1) for _ in range(draw(st.integers(0, 3)))]
        keys = draw(st.lists(TEXT, max_size=3, unique=True))
        return {("$" + key if key.startswith("$") else key): tree(depth + 1) for key in keys}

    return tree(0), run_input, outputs


@given(bindings())
def test_bytes_and_plain_values_bind_alike(case):
    tree, run_input, outputs = case
    binding = Binding(tree)
    spliced = binding.bytes_of(
        canonical.encode(run_input), {name: canonical.encode(value) for name, value in outputs.items()}
    )
    assert spliced == canonical.encode(binding.plain(run_input, outputs))


def test_a_literal_that_looks_like_a_reference_stays_a_literal():
    value = {"$from": "one", "path": []}
    assert canonical.decode(Binding(canonical.to_plain(value)).bytes_of(b"1", {"one": b"2"})) == value


def test_the_references_of_a_tree_are_listed():
    tree = {"a": [Reference("one", ("x", 0)).tree(), 1], "b": Reference(None).tree()}
    assert set(Binding(tree).references) == {Reference("one", ("x", 0)), Reference(None)}
