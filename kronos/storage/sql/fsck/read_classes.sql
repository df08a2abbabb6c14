-- Every class, also one that only the log itself knows any more.
SELECT id FROM kronos.retention_classes
UNION
SELECT substring(pg_get_expr(k.relpartbound, k.oid) FROM '\d+')::smallint
FROM pg_inherits i JOIN pg_class k ON k.oid = i.inhrelid WHERE i.inhparent = 'kronos.events'::regclass
ORDER BY 1
