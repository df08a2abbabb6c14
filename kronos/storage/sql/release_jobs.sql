-- Give back, in order, every job of this incarnation but `kept`; those that never began have made no attempt.
UPDATE kronos.jobs j
SET state = 'pending', worker = NULL, started_at = NULL,
    attempt = j.attempt - (j.id <> ALL(%(begun)s::uuid[]))::integer
WHERE j.state = 'running' AND j.worker = %(incarnation)s AND j.id <> ALL(%(kept)s::uuid[])
