-- Steps of runs that ended on this incarnation: their job goes, and what came of them goes into the run's inbox, both or
-- neither; where the run has ended, nothing is left of them.
WITH gone AS (
    DELETE FROM kronos.jobs j
    USING unnest(%(jobs)s::uuid[], %(attempts)s::smallint[], %(commands)s::uuid[], %(bodies)b::bytea[])
          AS d (id, attempt, command, body)
    WHERE j.id = d.id AND j.state = 'running' AND j.worker = %(incarnation)s AND j.attempt = d.attempt
    RETURNING j.run_id, d.command, d.body
), locked AS (
    SELECT id FROM kronos.runs WHERE id IN (SELECT run_id FROM gone) AND finished_at IS NULL
    ORDER BY id FOR NO KEY UPDATE
), counted AS (
    UPDATE kronos.runs r SET inbox_n = r.inbox_n + (SELECT count(*) FROM gone g WHERE g.run_id = r.id), wake_at = NULL
    FROM locked l WHERE r.id = l.id AND r.finished_at IS NULL
    RETURNING r.id
)
INSERT INTO kronos.run_inbox (run_id, command_id, kind, body)
SELECT g.run_id, g.command, 'outcomes', g.body FROM gone g JOIN counted c ON c.id = g.run_id
