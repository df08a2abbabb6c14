"""From the start of `kronos server` until /readyz says 200.

    python -m benchmarks.startup [--json]

Claim: warm ≤ 2 s, cold ≤ 5 s.  Cold is a data folder that does not exist yet: the database is made and migrated.  Warm
is the same folder again, its database stopped.  `value` is the warm median.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from benchmarks.harness import Report, database_folder, main
from kronos.storage.embedded import EmbeddedPostgres

PATIENCE_S = 60.0


def measure(arguments: argparse.Namespace) -> Report:
    """Start a server twice in each new folder."""
    cold, warm = list[float](), list[float]()
    for _ in range(arguments.rounds):
        with database_folder() as folder:
            for times in (cold, warm):
                times.append(_start(folder))
                EmbeddedPostgres(folder).stop()
    figures = {"cold_s": round(statistics.median(cold), 2), "cold_samples": [round(each, 2) for each in cold]}
    return Report("startup", statistics.median(warm), "s", {}, warm, figures)


def _start(folder: Path) -> float:
    port = _free_port()
    environment = {
        **os.environ,
        "KRONOS_DATA_DIR": str(folder),
        "ADMIN_ADDR": f"127.0.0.1:{port}",
        "GRPC_ADDR": "127.0.0.1:0",
        "METRICS_ADDR": "127.0.0.1:0",
    }
    environment.pop("DATABASE_URL", None)
    began = time.perf_counter()
    server = subprocess.Popen(
        [Path(sys.executable).with_name("kronos"), "server"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not _is_ready(port):
            if server.poll() is not None or time.perf_counter() - began > PATIENCE_S:
                raise SystemExit("the server did not become ready")
            time.sleep(0.01)
        return time.perf_counter() - began
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=PATIENCE_S)


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{Path(__file__).stem}")
    parser.add_argument("--rounds", type=int, default=5)
    main(measure, parser)
