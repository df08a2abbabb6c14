"""absurd-sdk: tasks of 10 trivial steps, one worker that claims batches.  Runs in absurd's own environment.

    python absurd_steps.py URL TASKS BATCH

Prints one JSON object.  The tasks are spawned before the clock starts; ours includes submission.
"""

import json
import sys
import time
from importlib.metadata import version

import psycopg
from absurd_sdk import Absurd
from absurdctl import BUNDLED_SCHEMA_SQL

STEPS = 10
DONE = "SELECT count(*) FROM absurd.t_bench WHERE state = 'completed'"


def main(url: str, tasks: int, batch: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(BUNDLED_SCHEMA_SQL)
        app = Absurd(connection, queue_name="bench")
        app.create_queue()

        @app.register_task("chain")
        def chain(params, ctx):
            number = params["number"]
            for place in range(STEPS):
                number = ctx.step(f"step-{place}", lambda number=number: number + 1)
            return number

        for number in range(tasks):
            app.spawn("chain", {"number": number})
        began = time.perf_counter()
        done = 0
        while done < tasks:
            app.work_batch(batch_size=batch)
            done = connection.execute(DONE).fetchone()[0]
        seconds = time.perf_counter() - began
    rate = tasks * STEPS / seconds
    print(json.dumps({"steps_per_s": rate, "tasks": tasks, "batch": batch, "version": version("absurd-sdk")}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
