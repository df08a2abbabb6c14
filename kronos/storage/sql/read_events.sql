-- A page of one run's stored events: of a fork first those that it shares with the runs it stands on, then its own.
-- A row that reaches beyond the part that is shared comes with where to cut it, and the head of the chain there.
-- With `upto`, none that begins after it (a row stands for five facts at most).
WITH part AS (
    SELECT a.ancestor AS run, a.after_seq, a.upto_seq, a.upto_hash FROM kronos.run_ancestry a WHERE a.run_id = %(run)s
    UNION ALL
    SELECT r.id, coalesce(r.parent_seq, 0), 2000000000, NULL FROM kronos.runs r WHERE r.id = %(run)s
)
SELECT e.seq, e.count, e.kind::text, e.step, e.attempt, e.at_ns, e.body, e.hash, p.upto_seq, p.upto_hash
FROM part p JOIN kronos.runs r ON r.id = p.run
CROSS JOIN LATERAL (
    SELECT * FROM kronos.events e
    WHERE e.retention_class = r.retention_class AND e.run_id = r.id
      AND e.seq > greatest(p.after_seq, %(after)s) AND e.seq - e.count < p.upto_seq
      AND e.seq < least(p.upto_seq, coalesce(%(upto)s::integer, 2000000000)) + 5
    ORDER BY e.seq
    LIMIT %(limit)s
) e
WHERE p.upto_seq > %(after)s
ORDER BY p.after_seq, e.seq
LIMIT %(limit)s
