-- Record that attempts of this incarnation have failed, and what becomes of their jobs: pending again at a due time,
-- dead, or cancelled.
WITH ended AS (
    UPDATE kronos.jobs j
    SET state = d.state::kronos.job_state, worker = NULL, failures = d.failures, failure = d.failure,
        started_at = to_timestamp(d.started_ns / 1e9),
        due_at = coalesce(to_timestamp(d.due_ns / 1e9), j.due_at),
        rank = kronos.job_rank(coalesce(to_timestamp(d.due_ns / 1e9), j.due_at), j.priority),
        delayed = d.due_ns IS NOT NULL,
        finished_at = CASE WHEN d.due_ns IS NULL THEN to_timestamp(d.finished_ns / 1e9) END,
        expires_at = CASE WHEN d.state = 'cancelled'
                          THEN to_timestamp(d.finished_ns / 1e9) + j.keep_ms * interval '1 millisecond' END
    FROM unnest(%(jobs)s::uuid[], %(attempts)s::smallint[], %(states)s::text[], %(dues)s::bigint[],
                %(failures)s::smallint[], %(whys)b::bytea[], %(started)s::bigint[], %(finished)s::bigint[])
         AS d (id, attempt, state, due_ns, failures, failure, started_ns, finished_ns)
    WHERE j.id = d.id AND j.state = 'running' AND j.worker = %(incarnation)s AND j.attempt = d.attempt
    RETURNING j.id, j.attempt, d.failure, d.started_ns, d.finished_ns
)
INSERT INTO kronos.job_failures (job_id, attempt, worker, started_at, finished_at, failure)
SELECT id, attempt, %(incarnation)s, to_timestamp(started_ns / 1e9), to_timestamp(finished_ns / 1e9), failure FROM ended
ON CONFLICT (job_id, attempt) DO NOTHING
