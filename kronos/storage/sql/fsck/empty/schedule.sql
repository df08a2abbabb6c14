-- Firings whose run is not there, is another's, or was started at another moment, and open runs that a schedule takes
-- for ended.
SELECT 'schedule_firings: schedule ' || f.schedule_id || ' at ' || f.nominal_time, w.what
FROM kronos.schedule_firings f
JOIN kronos.schedules s ON s.id = f.schedule_id
LEFT JOIN kronos.runs r ON r.id = f.run_id
CROSS JOIN LATERAL (SELECT CASE
    WHEN r.id IS NULL THEN 'its run ' || f.run_id || ' does not exist'
    WHEN r.workflow <> s.workflow THEN 'its run ' || r.id || ' is of workflow ' || r.workflow || ', not ' || s.workflow
    WHEN r.created_at NOT BETWEEN f.fired_at - interval '1 minute' AND f.fired_at + interval '1 minute'
        THEN 'its run ' || r.id || ' was started at ' || r.created_at || ', not at ' || f.fired_at
    WHEN r.parent_run IS NOT NULL OR r.child_of IS NOT NULL OR r.continues IS NOT NULL
        THEN 'its run ' || r.id || ' was started by another run'
    WHEN r.finished_at IS NULL AND NOT f.open THEN 'its run ' || r.id || ' is open, and it is noted as ended'
    WHEN f.nominal_time > f.fired_at + interval '1 minute' THEN 'it was fired before its time, at ' || f.fired_at
    WHEN r.phase = 'pending' AND r.wake_at > f.nominal_time + (s.jitter_ms + 60000) * interval '1 millisecond' AND r.inbox_n = 0
        THEN 'its run ' || r.id || ' sleeps longer than the jitter of its schedule'
END AS what) w
WHERE f.run_id IS NOT NULL AND w.what IS NOT NULL
UNION ALL
SELECT 'schedule_firings: run ' || run_id, count(*) || ' slots name it as their own'
FROM kronos.schedule_firings WHERE run_id IS NOT NULL GROUP BY run_id HAVING count(*) > 1
