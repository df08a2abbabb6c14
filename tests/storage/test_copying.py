"""Rows of the log as bytes of a binary COPY."""

from __future__ import annotations

import random
import uuid

import psycopg
import pytest

from kronos.core.events import Kind
from kronos.ports.queue import EventRow
from kronos.storage.copying import encode_rows

KEPT = "retention_class, run_id, seq, count, kind::text, step, attempt, at_ns, body, hash"


def some_rows(number: int) -> list[EventRow]:
    """Return rows that no two columns agree in, the least and the greatest of each among them."""
    rng = random.Random(7)
    rows = []
    for seq in range(1, number + 1):
        step = "".join(rng.choices("ab[]-_. é字🙂", k=rng.randrange(40)))
        rows.append(
            EventRow(
                1,
                uuid.UUID(int=rng.getrandbits(128)),
                seq,
                rng.randint(1, 5),
                rng.choice(list(Kind)).value,
                step,
                rng.choice([0, 1, 32_767]),
                rng.choice([-(2**63), 0, 2**63 - 1]),
                rng.randbytes(rng.choice([0, 1, 300, 9_000])),
                rng.randbytes(32),
            )
        )
    rows[0] = EventRow(1, rows[0].run, 2**31 - 1, 5, "run_started", "", 0, 0, b"{}", bytes(32))
    return rows


def test_postgres_reads_the_very_values_that_were_encoded(database_url: str) -> None:
    rows = some_rows(200)
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE TEMP TABLE copied (LIKE kronos.events)")
        with connection.cursor() as cursor, cursor.copy("COPY copied FROM STDIN (FORMAT BINARY)") as copy:
            copy.write(encode_rows(rows))
        read = connection.execute(f"SELECT {KEPT} FROM copied ORDER BY ctid", binary=True).fetchall()
    assert [EventRow(*row) for row in read] == rows


@pytest.mark.parametrize(
    "wrong",
    [
        {"seq": 2**31},
        {"attempt": 32_768},
        {"step": "half a pair \ud800"},
    ],
)
def test_a_row_that_no_table_holds_is_refused_as_the_server_would_and_is_named(wrong: dict[str, object]) -> None:
    values = {"seq": 1, "attempt": 1, "step": "a", **wrong}
    run = uuid.UUID(int=9)
    row = EventRow(1, run, values["seq"], 1, "run_started", values["step"], values["attempt"], 0, b"{}", bytes(32))  # type: ignore[arg-type]
    with pytest.raises(psycopg.DataError, match=str(run)):
        encode_rows([row])
