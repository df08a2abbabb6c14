"""A command that is sent again while its first sending is still under way."""

from __future__ import annotations

import threading
import uuid

import psycopg

from kronos.storage.database import Session
from kronos.storage.statements import statement
from kronos.storage.submission import Submission


def test_a_command_sent_again_while_its_first_commit_is_on_its_way_counts_once(desk, app, owner):
    """Seed 346 found it: the answer to COMMIT was lost, and the same command came again before the COMMIT."""
    run, command = desk.one(), uuid.uuid4()
    session, answers, faults = Session(app.url, purpose="test"), [], []

    def again() -> None:
        try:
            answers.append(Submission(session).send(run.id, "cancel", b"{}", command_id=command))
        except psycopg.Error as error:
            faults.append(error)

    with psycopg.connect(app.url) as first:
        at = {"run": run.id, "command": command, "kind": "cancel", "body": b"{}"}
        assert first.execute(statement("send_to_inbox"), at).fetchone() is not None
        thread = threading.Thread(target=again)
        thread.start()
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        while not owner.execute(waiting).fetchone()[0]:
            assert thread.is_alive(), "it did not wait for the run"
    thread.join()
    session.close()
    assert (faults, answers) == ([], [False])
    inbox = (
        "SELECT inbox_n, (SELECT count(*) FROM kronos.run_inbox WHERE run_id = r.id) FROM kronos.runs r WHERE id = %s"
    )
    assert owner.execute(inbox, (run.id,)).fetchone() == (1, 1)
