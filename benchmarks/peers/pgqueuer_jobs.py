"""pgqueuer: no-op jobs, inserted first, then one worker until all are done.  Runs in its own environment.

    python pgqueuer_jobs.py URL JOBS SLOTS

Prints one JSON object.  Batches of 50, the driver asyncpg under uvloop: the fastest of the documented ways we found.
"""

import json
import sys
import time
from importlib.metadata import version

import asyncpg
import uvloop
from pgqueuer.core.qm import QueueManager
from pgqueuer.db import AsyncpgDriver
from pgqueuer.queries import Queries
from pgqueuer.types import QueueExecutionMode

BATCH = 50


async def main(url: str, jobs: int, slots: int) -> None:
    connection = await asyncpg.connect(url)
    driver = AsyncpgDriver(connection)
    queries = Queries(driver)
    await queries.install()
    for first in range(0, jobs, 1_000):
        count = min(1_000, jobs - first)
        await queries.enqueue(["noop"] * count, [b"1"] * count, [0] * count)
    manager = QueueManager(queries)
    done = 0

    @manager.entrypoint("noop")
    async def noop(job: object) -> None:
        nonlocal done
        done += 1

    began = time.perf_counter()
    await manager.run(batch_size=min(BATCH, slots), mode=QueueExecutionMode.drain)
    seconds = time.perf_counter() - began
    assert done == jobs, f"{done} of {jobs}"
    print(json.dumps({"jobs_per_s": jobs / seconds, "jobs": jobs, "version": version("pgqueuer")}))


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
