-- Definitions that another worker serves as well, and by how many others.
SELECT d.id, count(*) FROM kronos.nodes n, unnest(n.definitions) AS d (id)
WHERE n.kind = 'worker' AND n.incarnation IS DISTINCT FROM %(incarnation)s
  AND n.seen_at >= kronos.now() - make_interval(secs => n.lease_ms / 1000.0)
GROUP BY d.id
