"""A terminal without a process of its own: what is typed goes through `kronos.cli.main`, as from any shell.

Rule: used where the process itself is not the point; importing everything anew would cost a second a command.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

from kronos.cli import main

__all__ = ["Typed", "type_here"]


class Typed(NamedTuple):
    """What a command left behind."""

    returncode: int
    stdout: str
    stderr: str


def type_here(*arguments: str, folder: Path, environment: Mapping[str, str], typed: str = "") -> Typed:
    """Return what `kronos ARGUMENTS` does in `folder` with `environment` and nothing else."""
    out, told = io.StringIO(), io.StringIO()
    with chdir(folder), _environment(environment), _input(typed), redirect_stdout(out), redirect_stderr(told):
        try:
            main(arguments)
        except SystemExit as end:
            code = end.code
    assert isinstance(code, int), f"kronos {' '.join(arguments)} exits with {code!r}"
    return Typed(code, out.getvalue(), told.getvalue())


@contextmanager
def _environment(wanted: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(wanted)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _input(typed: str) -> Iterator[None]:
    before, sys.stdin = sys.stdin, io.StringIO(typed)
    try:
        yield
    finally:
        sys.stdin = before
