-- Rights that let somebody change what only workers may, or a worker change what nobody may.
SELECT 'pg_class: kronos.' || k.relname, 'kronos_runtime may ' || p.name
FROM (SELECT relid FROM pg_partition_tree('kronos.events')
      UNION SELECT unnest(ARRAY['kronos.journal_segments', 'kronos.schema_version', 'kronos.retention_classes']::regclass[])) t
JOIN pg_class k ON k.oid = t.relid
CROSS JOIN (VALUES ('UPDATE'), ('DELETE'), ('TRUNCATE')) AS p (name)
WHERE EXISTS (SELECT FROM pg_roles WHERE rolname = 'kronos_runtime')
  AND has_table_privilege('kronos_runtime', t.relid, p.name)
UNION
SELECT 'pg_class: kronos.' || k.relname, coalesce(g.rolname, 'everybody') || ' may ' || a.privilege_type
FROM pg_class k
CROSS JOIN LATERAL (
    SELECT x.grantee, x.privilege_type FROM aclexplode(k.relacl) x
    UNION ALL
    SELECT x.grantee, x.privilege_type FROM pg_attribute c, aclexplode(c.attacl) x WHERE c.attrelid = k.oid
) a
LEFT JOIN pg_roles g ON g.oid = a.grantee
WHERE k.relnamespace = 'kronos'::regnamespace AND a.grantee <> k.relowner AND NOT coalesce(g.rolsuper, false)
  AND a.privilege_type <> 'SELECT' AND a.privilege_type <> 'REFERENCES' AND a.privilege_type <> 'USAGE'
  AND g.rolname IS DISTINCT FROM 'kronos_runtime'
  AND (a.grantee = 0 OR k.oid IN (SELECT relid FROM pg_partition_tree('kronos.events') UNION SELECT 'kronos.journal_segments'::regclass))
ORDER BY 1, 2
