"""Which code a step is, as one hash, and its source as it stood when a run was submitted.

Rule 1: two texts are the same code when they have the same tokens: comments, blank lines and the width of indentation
        do not count.  Docstrings do, since programs read them.
Rule 2: a step's code is its own module, every first-party module that it reaches, the lock file, and what it declares
        with `depends=` (files relative to the project root, or modules).
Rule 3: a definition is its name, version, graph, and the code of each step: the same on every machine and Python.
"""

from __future__ import annotations

import inspect
import io
import token
import tokenize
from functools import lru_cache
from pathlib import Path
from types import CodeType
from typing import Any, Final

import msgspec

from kronos.core.definition import StepDefinition, WorkflowDefinition
from kronos.core.graph import encode_graph
from kronos.engine.imports import Imports, Project, project_of
from kronos.errors import WorkflowDefinitionError
from kronos.kernel import canonical
from kronos.kernel.hashing import content_hash
from kronos.kernel.ids import DefinitionId

__all__ = ["CodeIdentity", "CodeReader", "Source", "token_hash"]

LOCK_FILES: Final = ("uv.lock", "poetry.lock", "constraints.txt", "requirements.txt")
_SKIPPED: Final = frozenset({token.ENCODING, token.COMMENT, token.NL, token.ENDMARKER})
_SHAPE: Final = frozenset({token.NEWLINE, token.INDENT, token.DEDENT})
_FSTRING_START: Final = getattr(token, "FSTRING_START", -1)
_FSTRING_END: Final = getattr(token, "FSTRING_END", -1)


class Source(msgspec.Struct, frozen=True):
    """One file: `module` is "" for what is no module; `path` is relative to the project root, with "/"."""

    module: str
    path: str
    data: bytes


class CodeIdentity(msgspec.Struct, frozen=True):
    """The hash of a step's code, and the files behind it."""

    hash: str
    sources: tuple[Source, ...]


class CodeReader:
    """One look at the code behind steps and workflows: a file that many of them reach is found and read once.

    What changes on disk after that is not seen: make one for each look.
    """

    def __init__(self) -> None:
        self._imports = Imports()
        self._identities: dict[tuple[str, Path, tuple[str, ...]], CodeIdentity] = {}

    def identity(self, step: StepDefinition[Any, Any]) -> CodeIdentity:
        """Return the identity of one step's code."""
        file = step.function.__globals__.get("__file__")
        if file is None or not Path(file).is_file():
            return _typed_in(step.function)
        return self._of_module(step.target, file, step.depends)

    def definition_id(self, workflow: WorkflowDefinition[Any, Any]) -> DefinitionId:
        """Return the hash of everything that decides what a run of `workflow` does."""
        facts = {
            "name": workflow.name,
            "version": workflow.version,
            "graph": content_hash(encode_graph(workflow.graph)),
            "code": self.codes(workflow),
        }
        return DefinitionId(content_hash(canonical.encode(facts)))

    def codes(self, workflow: WorkflowDefinition[Any, Any]) -> dict[str, str]:
        """Return the hash of each step's code, and of each child's definition, by name."""
        return {name: self.identity(step).hash for name, step in workflow.steps.items()} | {
            name: self.definition_id(child) for name, child in workflow.children.items()
        }

    def capture(self, workflow: WorkflowDefinition[Any, Any]) -> list[Source]:
        """Return every file that a later re-execution needs, by path: of each step, and of the workflow itself."""
        found = {source.path: source for step in workflow.steps.values() for source in self.identity(step).sources}
        file = workflow.function.__globals__.get("__file__")
        if file is not None and Path(file).is_file():
            found |= {source.path: source for source in self._of_module(workflow.target, file, ()).sources}
        return [found[path] for path in sorted(found)]

    def _of_module(self, target: str, file: str, depends: tuple[str, ...]) -> CodeIdentity:
        key = target.partition(":")[0], Path(file).resolve(), depends
        if key not in self._identities:
            self._identities[key] = self._read(*key)
        return self._identities[key]

    def _read(self, module: str, file: Path, depends: tuple[str, ...]) -> CodeIdentity:
        project = project_of(module, file)
        modules = self._imports.reached(module, file, project)
        others: list[Path] = []
        for declared in depends:
            self._add_declared(declared, project, modules, others)
        sources = [Source(name, _relative(path, project), path.read_bytes()) for name, path in modules.items()]
        sources += [Source("", _relative(path, project), path.read_bytes()) for path in [*others, *_lock_file(project)]]
        parts = {each.path: token_hash(each.data) if each.module else content_hash(each.data) for each in sources}
        ordered = sorted(sources, key=lambda source: source.path)
        return CodeIdentity(content_hash(canonical.encode(parts)), tuple(ordered))

    def _add_declared(self, declared: str, project: Project, modules: dict[str, Path], others: list[Path]) -> None:
        path = (project.root / declared).resolve()
        if path.is_file():
            others.append(path)
            return
        module_file = project.import_root.joinpath(*declared.split("."))
        for candidate in (module_file.with_suffix(".py"), module_file / "__init__.py"):
            if candidate.is_file():
                modules |= self._imports.reached(declared, candidate.resolve(), project)
                return
        raise WorkflowDefinitionError(
            f"depends={declared!r}: there is no such file below {project.root} and no such module", field="depends"
        )


def _lock_file(project: Project) -> list[Path]:
    return [path for name in LOCK_FILES if (path := project.root / name).is_file()][:1]


def _relative(path: Path, project: Project) -> str:
    return path.relative_to(project.root).as_posix() if path.is_relative_to(project.root) else path.name


@lru_cache(maxsize=20_000)
def token_hash(source: bytes) -> str:
    """Return the hash of a Python text's tokens; of its bytes where it has none (a syntax error)."""
    try:
        return content_hash("\0".join(_tokens(source)).encode())
    except (tokenize.TokenError, SyntaxError):
        return content_hash(source)


def _tokens(source: bytes) -> list[str]:
    """Return the tokens that count; an f-string is one, as written, since its parts differ between Pythons."""
    found: list[str] = []
    fstrings: list[tuple[int, int]] = []
    lines = source.decode(tokenize.detect_encoding(io.BytesIO(source).readline)[0]).splitlines(keepends=True)
    for one in tokenize.tokenize(io.BytesIO(source).readline):
        if one.type == _FSTRING_START:
            fstrings.append(one.start)
        elif one.type == _FSTRING_END:
            start = fstrings.pop()
            if not fstrings:
                found.append(_text(lines, start, one.end))
        elif not fstrings and one.type not in _SKIPPED:
            found.append(token.tok_name[one.type] if one.type in _SHAPE else one.string)
    return found


def _text(lines: list[str], start: tuple[int, int], end: tuple[int, int]) -> str:
    (first, left), (last, right) = start, end
    if first == last:
        return lines[first - 1][left:right]
    return lines[first - 1][left:] + "".join(lines[first : last - 1]) + lines[last - 1][:right]


def _typed_in(function: Any) -> CodeIdentity:
    """Return the identity of a function that has no file: its text where the notebook keeps it, else its bytecode."""
    name = function.__qualname__
    try:
        text = inspect.getsource(function).encode()
    except (OSError, TypeError):
        return CodeIdentity(content_hash(_bytecode(function.__code__)), ())
    return CodeIdentity(token_hash(text), (Source("", f"{name}.cell.py", text),))


def _bytecode(code: CodeType) -> bytes:
    constants = [_bytecode(c) if isinstance(c, CodeType) else repr(c).encode() for c in code.co_consts]
    return b"\x00".join([code.co_code, repr(code.co_names).encode(), *constants])
