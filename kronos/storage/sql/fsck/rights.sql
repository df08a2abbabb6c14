-- Rights of the runtime role that would let a worker change history.
SELECT 'pg_class: kronos.' || k.relname, 'kronos_runtime may ' || p.name
FROM (SELECT relid FROM pg_partition_tree('kronos.events') UNION SELECT 'kronos.journal_segments'::regclass) t
JOIN pg_class k ON k.oid = t.relid
CROSS JOIN (VALUES ('UPDATE'), ('DELETE'), ('TRUNCATE')) AS p (name)
WHERE EXISTS (SELECT FROM pg_roles WHERE rolname = 'kronos_runtime')
  AND has_table_privilege('kronos_runtime', t.relid, p.name)
ORDER BY 1, 2
