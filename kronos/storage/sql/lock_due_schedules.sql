-- Schedules whose next slot is due, most overdue first, held for this transaction.
SELECT id, name, cron, zone, workflow, version, input, catch_up, overlap, jitter_ms / 1000.0, timeout_ms / 1000.0,
       created_at, paused_at, next_at
FROM kronos.schedules
WHERE paused_at IS NULL AND next_at <= (SELECT kronos.now())
ORDER BY next_at, id
LIMIT %(limit)s
FOR UPDATE SKIP LOCKED
