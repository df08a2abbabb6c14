"""procrastinate: no-op jobs, inserted first, then one worker until all are done.  Runs in its own environment.

    python procrastinate_jobs.py URL JOBS SLOTS

Prints one JSON object.
"""

import asyncio
import json
import logging
import sys
import time
from importlib.metadata import version

import procrastinate


async def main(url: str, jobs: int, slots: int) -> None:
    logging.disable(logging.INFO)
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url, max_size=slots))
    done = 0

    @app.task(name="noop")
    async def noop(number: int) -> int:
        nonlocal done
        done += 1
        return number

    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        await noop.batch_defer_async(*({"number": number} for number in range(jobs)))
        began = time.perf_counter()
        await app.run_worker_async(concurrency=slots, wait=False, install_signal_handlers=False, listen_notify=False)
        seconds = time.perf_counter() - began
    assert done == jobs, f"{done} of {jobs}"
    print(json.dumps({"jobs_per_s": jobs / seconds, "jobs": jobs, "version": version("procrastinate")}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
