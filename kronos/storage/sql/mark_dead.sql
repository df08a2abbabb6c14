-- Under the exclusive fence: read the heartbeat again and, if it is still silent, declare the incarnation dead.
UPDATE kronos.incarnations i SET dead_at = kronos.now(), dead_why = 'lease expired'
FROM kronos.heartbeats h
WHERE i.id = %(incarnation)s AND i.dead_at IS NULL AND h.incarnation = i.id
  AND h.at < kronos.now() - make_interval(secs => i.lease_ms / 1000.0)
RETURNING 1
