-- Note which runs of a schedule have ended.
UPDATE kronos.schedule_firings f SET open = false
WHERE f.schedule_id = %(schedule)s AND f.open
  AND NOT EXISTS (SELECT FROM kronos.runs r WHERE r.id = f.run_id AND r.finished_at IS NULL)
