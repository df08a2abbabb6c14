-- Partitions whose whole week is older than its class keeps, oldest first, and what keeps each from going: runs that are
-- open, ended too recently, or were started by a run that is open and may not have read their result.  The weeks that
-- ensure_partitions makes are left alone.
SELECT k.relname AS leaf, c.id AS class, w.low, w.high, p.pins, p.example::text, p.phase
FROM kronos.retention_classes c
JOIN pg_class k ON k.relnamespace = 'kronos'::regnamespace AND k.relname ~ ('^events_' || c.name || '_[0-9]{8}$')
JOIN pg_inherits i ON i.inhrelid = k.oid
CROSS JOIN LATERAL (SELECT to_date(substring(k.relname FROM '_([0-9]{8})$'), 'YYYYMMDD')::timestamp AT TIME ZONE 'UTC' AS week) d
CROSS JOIN LATERAL (SELECT kronos.uuid7_floor(d.week) AS low, kronos.uuid7_floor(d.week + interval '7 days') AS high) w
CROSS JOIN LATERAL (
    SELECT count(*) AS pins, (array_agg(r.id ORDER BY r.id))[1] AS example, (array_agg(r.phase::text ORDER BY r.id))[1] AS phase
    FROM kronos.runs r
    WHERE r.retention_class = c.id AND r.id >= w.low AND r.id < w.high AND r.expired_at IS NULL
      AND (r.finished_at IS NULL OR r.finished_at > kronos.now() - c.keep
           OR EXISTS (SELECT FROM kronos.runs p WHERE p.id = r.child_of AND p.finished_at IS NULL))
) p
WHERE d.week + interval '7 days' + c.keep < kronos.now()
  AND d.week < date_trunc('week', kronos.now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' - interval '7 days'
ORDER BY d.week, c.id
