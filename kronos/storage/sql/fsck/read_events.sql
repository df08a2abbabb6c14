-- Everything that one class holds of a range of runs, in order.
SELECT run_id, seq, count, kind::text, step, attempt, at_ns, body, hash
FROM kronos.events
WHERE retention_class = %(class)s AND run_id > %(after)s AND run_id <= %(upto)s
ORDER BY run_id, seq
