"""A worker process over the steps of these tests, until its standard input ends."""

from __future__ import annotations

import sys

from kronos.app import Kronos

if __name__ == "__main__":
    with Kronos.open(workflows=["tests.jobs.work", "tests.jobs.wide"]) as app:
        worker = app.worker().start()
        sys.stdin.read()
        worker.stop(5)
