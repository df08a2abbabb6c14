-- One run as the doctor sees it: its row, its owner's life, and the time.  `idle_s`: since when it may be claimed.
SELECT r.phase::text AS phase, r.workflow, r.version, r.definition, r.owner, i.name AS owner_name,
       i.dead_at IS NOT NULL AS owner_is_dead,
       extract(epoch FROM kronos.now() - h.at)::float8 AS silent_s, (i.lease_ms / 1000.0)::float8 AS lease_s,
       coalesce(r.wake_at = 'infinity', false) AS sleeps,
       CASE WHEN isfinite(r.wake_at) THEN (extract(epoch FROM r.wake_at) * 1e9)::bigint END AS wake_ns,
       r.inbox_n - r.inbox_seen AS commands, r.takeovers,
       (extract(epoch FROM kronos.now()) * 1e9)::bigint AS now_ns,
       extract(epoch FROM kronos.now() - r.created_at)::float8 AS age_s
FROM kronos.runs r
LEFT JOIN kronos.incarnations i ON i.id = r.owner
LEFT JOIN kronos.heartbeats h ON h.incarnation = r.owner
WHERE r.id = %(run)s
