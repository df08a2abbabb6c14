-- The first fact about each of some steps in a run's history, shared parts included.
SELECT e.step, min(e.seq - e.count + 1)
FROM (
    SELECT a.ancestor AS run, a.after_seq, a.upto_seq FROM kronos.run_ancestry a WHERE a.run_id = %(run)s
    UNION ALL
    SELECT r.id, coalesce(r.parent_seq, 0), 2000000000 FROM kronos.runs r WHERE r.id = %(run)s
) p
JOIN kronos.runs r ON r.id = p.run
JOIN kronos.events e ON e.retention_class = r.retention_class AND e.run_id = r.id
 AND e.seq > p.after_seq AND e.seq - e.count < p.upto_seq
WHERE e.step = ANY(%(steps)s::text[])
GROUP BY e.step
