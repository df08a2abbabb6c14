-- The incarnations that live and what each serves, the longest silent first.
SELECT i.id, i.name, i.host, i.pid, (i.lease_ms / 1000.0)::float8 AS lease_s,
       extract(epoch FROM kronos.now() - h.at)::float8 AS silent_s,
       (SELECT count(*) FROM kronos.runs r WHERE r.owner = i.id) AS runs,
       coalesce(n.definitions, '{}') AS serves
FROM kronos.incarnations i
LEFT JOIN kronos.heartbeats h ON h.incarnation = i.id
LEFT JOIN kronos.nodes n ON n.incarnation = i.id
WHERE i.dead_at IS NULL
ORDER BY silent_s DESC NULLS FIRST
