-- Put a command into a run's inbox, once per command_id, while the run is open.  Counting inbox_n in the same
-- statement is what keeps a completing owner from missing it; the row that it locks makes a run's commands be numbered
-- in the order in which they are committed.
WITH open AS (
    UPDATE kronos.runs SET inbox_n = inbox_n + 1, wake_at = CASE WHEN wake_at IS NOT NULL THEN kronos.now() END
    WHERE id = %(run)s AND finished_at IS NULL
      AND NOT EXISTS (SELECT FROM kronos.run_inbox WHERE command_id = %(command)s)
    RETURNING id
)
INSERT INTO kronos.run_inbox (run_id, command_id, kind, body)
SELECT id, %(command)s, %(kind)s, %(body)s FROM open
RETURNING id
