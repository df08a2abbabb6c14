-- A leader's row that is lost, that nobody can take over in time, or whose epoch has been before.
SELECT 'leader: ', 'there is no row: nobody can lead'
WHERE NOT EXISTS (SELECT FROM kronos.leader)
UNION ALL
SELECT 'leader: epoch ' || l.epoch, f.what
FROM kronos.leader l
LEFT JOIN kronos.nodes n ON n.id = l.node
CROSS JOIN LATERAL (VALUES
    (l.node IS NULL AND l.until > (SELECT kronos.now()), 'nobody leads, and nobody may until ' || l.until),
    (l.until > (SELECT kronos.now()) + interval '1 minute' + coalesce(n.lease_ms * interval '1 millisecond', '1 hour'),
     'it leads until ' || l.until || ', longer than its lease'),
    (l.epoch < 0, 'no epoch is below 0'),
    (l.epoch < (SELECT max(f.epoch) FROM kronos.schedule_firings f),
     'slots were fired in epoch ' || (SELECT max(f.epoch) FROM kronos.schedule_firings f))
) AS f (is_wrong, what)
WHERE f.is_wrong
