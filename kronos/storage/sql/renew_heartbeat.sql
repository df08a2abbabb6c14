-- Renew the lease; no row comes back when the incarnation is dead.
UPDATE kronos.heartbeats h SET at = kronos.now()
FROM kronos.incarnations i
WHERE h.incarnation = %(incarnation)s AND i.id = h.incarnation AND i.dead_at IS NULL
RETURNING 1
