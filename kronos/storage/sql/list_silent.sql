-- Incarnations whose lease has run out, longest silent first.
SELECT i.id
FROM kronos.incarnations i JOIN kronos.heartbeats h ON h.incarnation = i.id
WHERE i.dead_at IS NULL AND h.at < kronos.now() - make_interval(secs => i.lease_ms / 1000.0)
ORDER BY h.at
LIMIT 100
