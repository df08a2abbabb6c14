-- Of these runs, how far each is still needed by forks that do not go with the same partition.
SELECT a.ancestor, max(a.upto_seq)
FROM kronos.run_ancestry a JOIN kronos.runs d ON d.id = a.run_id
WHERE a.ancestor = ANY(%(runs)s::uuid[]) AND d.expired_at IS NULL
  AND NOT (d.retention_class = %(class)s AND d.id >= %(low)s AND d.id < %(high)s)
GROUP BY a.ancestor
ORDER BY a.ancestor
