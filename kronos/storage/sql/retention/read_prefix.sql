-- What a run itself recorded up to a seq.
SELECT seq, count, kind::text, step, attempt, at_ns, body, hash
FROM kronos.events
WHERE retention_class = %(class)s AND run_id = %(run)s AND seq - count < %(seq)s
ORDER BY seq
