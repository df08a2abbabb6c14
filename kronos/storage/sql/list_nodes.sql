-- Processes that are up or vanished within the hour, and who leads.
SELECT n.id, n.kind, n.name, n.host, n.pid, n.incarnation, n.definitions, n.started_at, n.seen_at,
       n.lease_ms / 1000.0 AS lease_s,
       n.seen_at >= kronos.now() - make_interval(secs => n.lease_ms / 1000.0) AS is_up,
       l.epoch, extract(epoch FROM l.until - kronos.now())::float8 AS left_s
FROM kronos.nodes n LEFT JOIN kronos.leader l ON l.node = n.id AND l.until > kronos.now()
ORDER BY n.id
