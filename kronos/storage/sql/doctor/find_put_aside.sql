-- Runs that were put aside, as `put_aside` leaves them: parked ones are `waiting`, and those given back are due at once.
SELECT id, (extract(epoch FROM wake_at) * 1e9)::bigint FROM kronos.runs
WHERE finished_at IS NULL AND owner IS NULL AND phase = 'running' AND wake_at > kronos.now() AND isfinite(wake_at)
ORDER BY wake_at, id LIMIT 100
