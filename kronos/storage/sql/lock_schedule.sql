-- One schedule, held against its firing.
SELECT id, name, cron, zone, workflow, version, input, catch_up, overlap, jitter_ms / 1000.0, timeout_ms / 1000.0,
       created_at, paused_at, next_at
FROM kronos.schedules
WHERE name = %(name)s
FOR UPDATE
