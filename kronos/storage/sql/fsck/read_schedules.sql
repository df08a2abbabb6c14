-- Every schedule (a moment that no calendar holds is none), the last slot that was decided on, and the input schemas of the definitions that its runs may have had.
SELECT s.id, s.name, s.cron, s.zone, s.workflow, s.version, s.input, s.paused_at IS NOT NULL,
       CASE WHEN s.next_at BETWEEN '1970-01-01' AND '9000-01-01' THEN s.next_at END, kronos.now(),
       (SELECT max(f.nominal_time) FROM kronos.schedule_firings f
        WHERE f.schedule_id = s.id AND f.outcome <> 'triggered'
          AND f.nominal_time BETWEEN '1970-01-01' AND '9000-01-01'),
       ARRAY(SELECT d.input_schema FROM kronos.definitions d
             WHERE d.workflow = s.workflow AND (s.version IS NULL OR d.version = s.version)
             ORDER BY d.created_at DESC)
FROM kronos.schedules s
ORDER BY s.id
