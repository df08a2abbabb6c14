"""Definitions: what their id is the hash of, and what follows from that.

Rule: the id covers name, version, graph and code; the input schema and the class of runs stand in the graph too, and a
      source file is named by its content.  The environment is recorded for readers: only its form can be judged.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from kronos.app.fsck.finding import Finding
from kronos.app.fsck.reading import Reader

__all__ = ["check_definitions"]

_ENVIRONMENT: Final = {"python", "machine"}
_OWN_CODE: Final = {"step", "map"}
"""Kinds of nodes that execute code of this definition; a child's is that of its own."""


class _Definition(NamedTuple):
    id: str
    workflow: str
    version: str
    graph: bytes
    codes: bytes
    sources: bytes
    input_schema: bytes
    retention: str
    environment: bytes
    is_of_the_future: bool
    keeps_sources: bool


def check_definitions(reader: Reader) -> Iterator[Finding]:
    """Yield the definitions whose id is not the hash of what they say, or which say something else beside it."""
    with reader.snapshot():
        for row in reader.stream("read_definitions"):
            definition = _Definition(*row)
            try:
                faults = list(_faults(definition))
                files = [bytes.fromhex(blob) for _, blob in json.loads(definition.sources).values()]
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                faults, files = [f"it cannot be read: {error}"], []
            for what in faults:
                yield Finding(check="definition", row=f"definitions: {definition.id}", what=what)
            yield from reader.unreferred("definition", [definition.id] * len(files), files)


def _faults(definition: _Definition) -> Iterator[str]:
    facts = {
        "name": definition.workflow,
        "version": definition.version,
        "graph": hashlib.sha256(definition.graph).hexdigest(),
        "code": json.loads(definition.codes),
    }
    if hashlib.sha256(_canonical(facts).encode()).hexdigest() != definition.id:
        yield "its id is not the hash of its content"
        return
    graph = json.loads(definition.graph)
    if _canonical(json.loads(definition.input_schema)) != _canonical(graph.get("input_schema", {})):
        yield "its input schema is not the one that its graph holds"
    if definition.retention != graph.get("retention", "standard"):
        yield f"its class {definition.retention!r} is not the one that its graph holds"
    yield from _sources(definition, graph)
    environment = json.loads(definition.environment)
    if set(environment) != _ENVIRONMENT or not all(isinstance(each, str) and each for each in environment.values()):
        yield "its environment names no Python and no machine"
    if definition.is_of_the_future:
        yield "it was registered in the future"


def _sources(definition: _Definition, graph: dict[str, Any]) -> Iterator[str]:
    """Yield what is missing of the files: code that was typed in has none, or a cell of no module."""
    sources = json.loads(definition.sources)
    if not sources:
        if definition.keeps_sources:
            yield "it names no source, and sources are kept for it"
        return
    modules = {module for module, _ in sources.values()}
    steps = [node for node in graph["nodes"] if node.get("kind", "step") in _OWN_CODE]
    needed = {node["target"].partition(":")[0] for node in steps}
    if not needed <= modules and not any(path.endswith(".cell.py") for path in sources):
        yield f"it names no source of {', '.join(sorted(needed - modules))}"


def _canonical(facts: object) -> str:
    return json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
