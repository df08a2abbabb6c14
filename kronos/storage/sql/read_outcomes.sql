-- What steps of a run came to after a seq, shared parts included, and where each was recorded: what a fork may reuse.
SELECT e.seq, e.step, e.attempt, e.body, p.run, r.definition
FROM (
    SELECT a.ancestor AS run, a.after_seq, a.upto_seq FROM kronos.run_ancestry a WHERE a.run_id = %(run)s
    UNION ALL
    SELECT r.id, coalesce(r.parent_seq, 0), 2000000000 FROM kronos.runs r WHERE r.id = %(run)s
) p
JOIN kronos.runs r ON r.id = p.run
JOIN kronos.events e ON e.retention_class = r.retention_class AND e.run_id = r.id
 AND e.seq > greatest(p.after_seq, %(after)s) AND e.seq <= p.upto_seq
WHERE e.kind = 'step_completed'
ORDER BY e.seq
