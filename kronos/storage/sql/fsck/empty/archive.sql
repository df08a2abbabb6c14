-- Archives that do not reach as far as forks stand on them or whose blob nothing keeps, and partitions that are noted as
-- detached and are not.
SELECT 'archives: ' || x.run_id,
       CASE WHEN b.blob IS NULL THEN 'nothing keeps its blob'
            ELSE 'it ends at seq ' || x.seq || ', and forks stand on it up to ' || a.upto END
FROM kronos.archives x
LEFT JOIN kronos.blob_refs b ON b.blob = x.blob AND b.kind = 'archive' AND b.owner = x.run_id::text
LEFT JOIN LATERAL (SELECT max(upto_seq) AS upto FROM kronos.run_ancestry WHERE ancestor = x.run_id) a ON true
WHERE b.blob IS NULL OR a.upto > x.seq
UNION ALL
SELECT 'retired_partitions: ' || p.leaf, 'it is noted as detached and is part of the log'
FROM kronos.retired_partitions p JOIN pg_class k ON k.relname = p.leaf AND k.relnamespace = 'kronos'::regnamespace
JOIN pg_inherits i ON i.inhrelid = k.oid
WHERE p.detached_at IS NOT NULL
ORDER BY 1
