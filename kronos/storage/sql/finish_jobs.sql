-- Record that attempts of this incarnation have succeeded; one that is no longer its own is left out.
UPDATE kronos.jobs j
SET state = 'completed', worker = NULL, output = d.output, failure = NULL,
    started_at = to_timestamp(d.started_ns / 1e9), finished_at = to_timestamp(d.finished_ns / 1e9),
    expires_at = to_timestamp(d.finished_ns / 1e9) + j.keep_ms * interval '1 millisecond'
FROM unnest(%(jobs)s::uuid[], %(attempts)s::smallint[], %(outputs)b::bytea[], %(started)s::bigint[], %(finished)s::bigint[])
     AS d (id, attempt, output, started_ns, finished_ns)
WHERE j.id = d.id AND j.state = 'running' AND j.worker = %(incarnation)s AND j.attempt = d.attempt
