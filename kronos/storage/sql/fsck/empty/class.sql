-- Retention classes that runs, definitions or the log itself name and that are not there.
SELECT 'retention_classes: standard', 'it is gone'
WHERE NOT EXISTS (SELECT FROM kronos.retention_classes WHERE id = 1 AND name = 'standard')
UNION ALL
SELECT 'runs: ' || r.id, 'its class ' || r.retention_class || ' does not exist'
FROM kronos.runs r WHERE NOT EXISTS (SELECT FROM kronos.retention_classes c WHERE c.id = r.retention_class)
UNION ALL
SELECT 'definitions: ' || d.id, 'its class ' || d.retention || ' does not exist'
FROM kronos.definitions d WHERE NOT EXISTS (SELECT FROM kronos.retention_classes c WHERE c.name = d.retention)
UNION ALL
SELECT 'pg_class: kronos.' || k.relname, 'its class ' || b.class || ' does not exist, or has another name'
FROM pg_inherits i JOIN pg_class k ON k.oid = i.inhrelid
CROSS JOIN LATERAL (SELECT substring(pg_get_expr(k.relpartbound, k.oid) FROM '\d+')::smallint AS class) b
WHERE i.inhparent = 'kronos.events'::regclass
  AND NOT EXISTS (SELECT FROM kronos.retention_classes c WHERE c.id = b.class AND k.relname = 'events_' || c.name)
