-- Put a database step's outcome into its run's inbox, in the step's own transaction: only where this incarnation owns the
-- run and it is open.  No row comes back when the attempt counts for nothing any more: then nothing of it may stay.
WITH open AS (
    UPDATE kronos.runs SET inbox_n = inbox_n + 1
    WHERE id = %(run)s AND owner = %(incarnation)s AND finished_at IS NULL
      AND NOT EXISTS (SELECT FROM kronos.run_inbox WHERE command_id = %(command)s)
    RETURNING id
)
INSERT INTO kronos.run_inbox (run_id, command_id, kind, body)
SELECT id, %(command)s, 'outcome', %(body)s FROM open
RETURNING id
