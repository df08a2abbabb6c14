-- A page of one run's stored events; with `upto`, none that begins after it (a row stands for five facts at most).
SELECT e.seq, e.count, e.kind::text, e.step, e.attempt, e.at_ns, e.body, e.hash
FROM kronos.runs r JOIN kronos.events e ON e.retention_class = r.retention_class AND e.run_id = r.id
WHERE r.id = %(run)s AND e.seq > %(after)s AND (%(upto)s::integer IS NULL OR e.seq < %(upto)s::integer + 5)
ORDER BY e.seq
LIMIT %(limit)s
