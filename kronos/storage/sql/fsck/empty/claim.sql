-- Runs whose row says that they were claimed, wait or belong to somebody in a way that no claim and no release leaves
-- behind: workers pass them over, or take them for others than they are.
SELECT 'runs: ' || r.id, f.what
FROM (SELECT kronos.now() AS at) n CROSS JOIN kronos.runs r
CROSS JOIN LATERAL (SELECT CASE
    WHEN r.phase = 'pending' AND (r.started_at IS NOT NULL OR r.claims <> 0 OR r.owner IS NOT NULL)
        THEN 'it is pending, and somebody has claimed it'
    WHEN r.phase <> 'pending' AND (r.started_at IS NULL OR r.claims < 1) THEN 'it is ' || r.phase || ', and nobody has claimed it'
    WHEN r.phase = 'waiting' AND r.owner IS NOT NULL THEN 'it waits, and has an owner'
    WHEN r.owner IS NOT NULL AND r.wake_at IS NOT NULL THEN 'it has an owner, and sleeps'
    WHEN r.phase = 'running' AND r.owner IS NULL AND r.wake_at > n.at + interval '1 minute'
        THEN 'it is running, has no owner, and sleeps until ' || r.wake_at
    WHEN r.phase = 'pending' AND r.wake_at = 'infinity' THEN 'it is pending, and sleeps for ever'
    WHEN r.phase = 'waiting' AND r.wake_at IS NULL AND r.inbox_n = r.inbox_seen THEN 'it waits, and nothing has woken it'
    WHEN r.finished_at IS NULL AND r.owner IS NULL AND r.inbox_n > r.inbox_seen AND r.wake_at > n.at + interval '1 minute'
        THEN 'a command waits for it, and it sleeps until ' || r.wake_at
    WHEN abs(extract(epoch FROM r.created_at) * 1000000 - r.rank) > 60000000 THEN 'its rank is not the moment of its creation'
    WHEN r.takeovers < 0 OR r.inbox_seen < 0 THEN 'it counts fewer than none'
    WHEN r.lost_owner > (SELECT max(id) FROM kronos.incarnations) THEN 'the owner that it lost never was'
END AS what) f
WHERE f.what IS NOT NULL
