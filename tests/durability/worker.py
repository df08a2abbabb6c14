"""A worker process for the tests: says "warm", waits for a line of orders, works until SIGTERM or a kill.

It is forked from `mother`, which has imported everything already.  Orders are JSON: `url`, `folder`, `environment`, and
the `log` that its standard error goes to.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path

from kronos import Kronos
from kronos.settings import read_settings
from tests.durability import flows


def main() -> None:
    leave = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: leave.set())
    print("warm", flush=True)
    line = sys.stdin.readline()
    if not line:
        return
    orders = json.loads(line)
    os.environ.update(orders["environment"])
    with Path(orders["log"]).open("ab") as log:
        os.dup2(log.fileno(), sys.stderr.fileno())
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(process)d %(threadName)s %(message)s")
    work(orders["url"], orders["folder"], leave)


def work(url: str, folder: str, leave: threading.Event) -> None:
    settings = replace(read_settings(), data_dir=Path(folder))
    with Kronos.open(settings, database_url=url, workflows=[flows.__name__]) as app:
        worker = app.worker(name=f"test-{os.getpid()}").start()
        print(f"ready {worker.worker.incarnation}", flush=True)
        leave.wait()
        worker.stop(drain_s=float(os.environ.get("KRONOS_TEST_DRAIN", "20")))
        print("left", flush=True)
