"""A workflow beside the jobs."""

from __future__ import annotations

from kronos import step, workflow


@step
def double(number: int) -> int:
    return 2 * number


@workflow(version="1")
def doubled(number: int) -> int:
    return double(number)
