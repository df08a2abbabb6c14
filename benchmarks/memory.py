"""Memory of a worker under `benchmarks.steps`, repeated for ten minutes.

    python -m benchmarks.memory [--json] [--minutes N]

Claim: at most 300 MB, and less than 1 % of growth a minute once the first minute is past.  Worker and client share the
process; what it holds is its resident memory after each round.  `value` is the largest.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from benchmarks.harness import Report, database_folder, main, resident_mb, say
from benchmarks.steps import chain, run_chains
from kronos import Engine
from kronos.settings import read_settings


def measure(arguments: argparse.Namespace) -> Report:
    """Repeat rounds, and fit a line through what is resident after each."""
    minutes, resident, rates = list[float](), list[float](), list[float]()
    with database_folder() as folder, Engine(workflows=[chain], data_dir=folder, settings=read_settings({})) as engine:
        began = time.monotonic()
        while (passed := (time.monotonic() - began) / 60) < arguments.minutes or len(minutes) < 4:
            rates.append(run_chains(engine, arguments.chains))
            minutes.append(passed)
            resident.append(resident_mb())
            say(f"{passed * 60:5.0f} s: {resident[-1]:.0f} MB, {rates[-1]:,.0f} steps/s")
    settled = [place for place, minute in enumerate(minutes) if minute >= min(1.0, arguments.minutes / 4)]
    slope = float(np.polyfit([minutes[i] for i in settled], [resident[i] for i in settled], 1)[0])
    figures = {
        "growth_percent_per_minute": round(100 * slope / resident[settled[0]], 3),
        "minutes": arguments.minutes,
        "steps": len(rates) * arguments.chains * 10,
        "steps_per_s": round(float(np.median(rates))),
    }
    return Report("memory", max(resident), "MB", {}, resident, figures)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{Path(__file__).stem}")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--chains", type=int, default=5_000)
    main(measure, parser)
