-- Classes without partitions for this week and the next, and detachings that were not finished.
SELECT 'retention_classes: ' || c.name, 'there is no partition for the week of ' || to_char(w.week AT TIME ZONE 'UTC', 'YYYY-MM-DD')
FROM kronos.retention_classes c,
     LATERAL (SELECT date_trunc('week', kronos.now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' + i * interval '7 days' AS week
              FROM generate_series(0, 1) AS i) w
WHERE NOT EXISTS (
    SELECT FROM pg_partition_tree('kronos.events') t JOIN pg_class k ON k.oid = t.relid
    WHERE t.isleaf AND k.relname = 'events_' || c.name || '_' || to_char(w.week AT TIME ZONE 'UTC', 'YYYYMMDD')
)
UNION ALL
SELECT 'pg_inherits: kronos.' || (SELECT relname FROM pg_class WHERE oid = inhrelid), 'its detaching was begun and not finished'
FROM pg_inherits
WHERE inhdetachpending
  AND inhparent IN (SELECT relid FROM pg_partition_tree('kronos.events'))
ORDER BY 1, 2
