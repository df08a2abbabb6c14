-- Every definition, newest first: its open runs by phase, and the workers that are up and serve it.
WITH open AS (
    SELECT definition, phase, count(*) AS n FROM kronos.runs
    WHERE phase IN ('pending', 'running', 'waiting') GROUP BY definition, phase
), serving AS (
    SELECT s.id AS definition, array_agg(n.name ORDER BY n.name) AS names
    FROM kronos.nodes n CROSS JOIN unnest(n.definitions) AS s (id)
    WHERE n.seen_at >= kronos.now() - make_interval(secs => n.lease_ms / 1000.0)
    GROUP BY s.id
)
SELECT d.id, d.workflow, d.version, d.created_at,
       coalesce((SELECT n FROM open WHERE definition = d.id AND phase = 'pending'), 0) AS pending,
       coalesce((SELECT n FROM open WHERE definition = d.id AND phase = 'running'), 0) AS running,
       coalesce((SELECT n FROM open WHERE definition = d.id AND phase = 'waiting'), 0) AS waiting,
       coalesce(s.names, '{}') AS workers
FROM kronos.definitions d LEFT JOIN serving s ON s.definition = d.id
WHERE %(workflow)s::text IS NULL OR d.workflow = %(workflow)s
ORDER BY d.workflow, d.created_at DESC, d.id
