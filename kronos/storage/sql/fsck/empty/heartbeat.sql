-- Living incarnations that have no heartbeat.
SELECT 'incarnations: ' || i.id, 'it is alive and has no heartbeat'
FROM kronos.incarnations i
WHERE i.dead_at IS NULL AND NOT EXISTS (SELECT FROM kronos.heartbeats h WHERE h.incarnation = i.id)
ORDER BY i.id
