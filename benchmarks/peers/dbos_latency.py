"""DBOS Transact: one workflow of one step, called directly.  Runs in DBOS's own environment.

python dbos_latency.py URL SAMPLES
"""

import json
import sys
import time

from dbos import DBOS, DBOSConfig

PAUSE_S = 0.02


@DBOS.step()
def bump(number: int) -> int:
    return number + 1


@DBOS.workflow()
def single(number: int) -> int:
    return bump(number)


def main(url: str, samples: int) -> None:
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": url.replace("postgresql://", "postgresql+psycopg://"),
        "log_level": "WARNING",
    }
    DBOS(config=config)
    DBOS.launch()
    for number in range(20):
        single(number)  # warm
    times = []
    for number in range(samples):
        time.sleep(PAUSE_S)
        began = time.perf_counter()
        assert single(number) == number + 1
        times.append((time.perf_counter() - began) * 1e3)
    print(json.dumps({"latencies_ms": times}))
    DBOS.destroy()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
