-- Tables of the log on which a guard is missing, is not ALWAYS enabled, or has been made harmless.
SELECT 'pg_trigger: ' || g.name || ' on kronos.' || k.relname,
       CASE WHEN r.oid IS NULL THEN 'it is missing' ELSE 'it is not enabled ALWAYS' END
FROM pg_partition_tree('kronos.events') t JOIN pg_class k ON k.oid = t.relid CROSS JOIN (VALUES ('append_only'), ('append_only_truncate')) AS g (name)
LEFT JOIN pg_trigger r ON r.tgrelid = t.relid AND r.tgname = g.name
                      AND r.tgfoid = 'kronos.refuse_change'::regproc
WHERE r.tgenabled IS DISTINCT FROM 'A'
UNION ALL
SELECT 'pg_proc: kronos.refuse_change', 'it refuses nothing'
FROM pg_proc
WHERE oid = 'kronos.refuse_change'::regproc AND prosrc !~ '^\s*BEGIN\s+RAISE EXCEPTION'
ORDER BY 1
