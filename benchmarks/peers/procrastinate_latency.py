"""procrastinate: one no-op job on a worker that listens for notices, until its row says it succeeded.

    python procrastinate_latency.py URL SAMPLES

Worker and client share a process, as in the other benchmarks; the row is looked at every millisecond.
"""

import asyncio
import json
import sys
import time

from procrastinate import App, PsycopgConnector

PAUSE_S = 0.02


async def main(url: str, samples: int) -> None:
    app = App(connector=PsycopgConnector(conninfo=url, min_size=2, max_size=6))

    @app.task(name="bump")
    async def bump(number: int) -> None:
        assert number >= 0

    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        worker = asyncio.create_task(
            app.run_worker_async(concurrency=1, listen_notify=True, install_signal_handlers=False)
        )
        await asyncio.sleep(1)
        for number in range(20):
            await one(app, bump, number)  # warm
        times = []
        for number in range(samples):
            await asyncio.sleep(PAUSE_S)
            times.append(await one(app, bump, number))
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
    print(json.dumps({"latencies_ms": times}))


async def one(app: App, task, number: int) -> float:
    began = time.perf_counter()
    job = await task.defer_async(number=number)
    while True:
        row = await app.connector.execute_query_one_async(
            "SELECT status::text AS status FROM procrastinate_jobs WHERE id = %(id)s", id=job
        )
        if row["status"] == "succeeded":
            return (time.perf_counter() - began) * 1e3
        await asyncio.sleep(0.001)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
