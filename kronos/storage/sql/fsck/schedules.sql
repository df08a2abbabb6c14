-- Firings whose run is not there, and a leader row that is lost.
SELECT 'schedule_firings: schedule ' || f.schedule_id || ' at ' || f.nominal_time, 'its run ' || f.run_id || ' does not exist'
FROM kronos.schedule_firings f
WHERE f.run_id IS NOT NULL AND f.outcome = 'started' AND NOT EXISTS (SELECT FROM kronos.runs r WHERE r.id = f.run_id)
UNION ALL
SELECT 'leader: ', 'there is no row: nobody can lead'
WHERE NOT EXISTS (SELECT FROM kronos.leader)
ORDER BY 1, 2
