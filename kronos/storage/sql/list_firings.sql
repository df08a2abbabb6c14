-- What became of a schedule's slots, newest first.
SELECT f.nominal_time, f.outcome, f.run_id, f.detail, f.missed, f.fired_at, r.phase::text
FROM kronos.schedule_firings f LEFT JOIN kronos.runs r ON r.id = f.run_id
WHERE f.schedule_id = %(schedule)s
ORDER BY f.nominal_time DESC
LIMIT %(limit)s
