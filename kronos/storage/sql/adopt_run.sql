-- Move a run that nobody owns to another definition, with the command that puts it on record: only where it stands as it
-- was when that was found to be possible.
WITH moved AS (
    UPDATE kronos.runs r
    SET definition = d.id, version = d.version, inbox_n = inbox_n + 1, wake_at = NULL
    FROM kronos.definitions d
    WHERE r.id = %(run)s AND r.owner IS NULL AND r.finished_at IS NULL AND r.claims = %(claims)s
      AND r.definition = %(old)s AND d.id = %(new)s
    RETURNING r.id
)
INSERT INTO kronos.run_inbox (run_id, command_id, kind, body)
SELECT id, %(command)s, 'adopt', %(body)s FROM moved
RETURNING id
