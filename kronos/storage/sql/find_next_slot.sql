-- Seconds until the next slot of any schedule.
SELECT extract(epoch FROM min(next_at) - kronos.now())::float8 FROM kronos.schedules WHERE paused_at IS NULL
