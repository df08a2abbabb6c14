"""DBOS Transact: workflows of 10 trivial steps, called from threads.  Runs in DBOS's own environment.

    python dbos_steps.py URL WORKFLOWS THREADS

Prints one JSON object.  Called directly (not through a queue, whose default poll is a second), without the
conductor, logging at WARNING: the fastest of the documented ways that we found.
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

from dbos import DBOS, DBOSConfig

STEPS = 10


@DBOS.step()
def bump(number: int) -> int:
    return number + 1


@DBOS.workflow()
def chain(number: int) -> int:
    for _ in range(STEPS):
        number = bump(number)
    return number


def main(url: str, workflows: int, threads: int) -> None:
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": url.replace("postgresql://", "postgresql+psycopg://"),
        "log_level": "WARNING",
        "sys_db_pool_size": max(20, threads * 2),
        "max_executor_threads": max(64, threads * 2),
    }
    DBOS(config=config)
    DBOS.launch()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(chain, range(threads * 2)))  # warm
        began = time.perf_counter()
        results = list(pool.map(chain, range(workflows)))
        seconds = time.perf_counter() - began
    assert results == [number + STEPS for number in range(workflows)]
    rate = workflows * STEPS / seconds
    print(json.dumps({"steps_per_s": rate, "workflows": workflows, "threads": threads, "version": version("dbos")}))
    DBOS.destroy()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
