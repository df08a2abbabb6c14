-- Keep a schedule; none comes back when its name is taken.
INSERT INTO kronos.schedules (name, cron, zone, workflow, version, input, catch_up, overlap, jitter_ms, timeout_ms, next_at)
VALUES (%(name)s, %(cron)s, %(zone)s, %(workflow)s, %(version)s, %(input)s, %(catch_up)s, %(overlap)s, %(jitter_ms)s,
        %(timeout_ms)s, %(next_at)s)
ON CONFLICT (name) DO NOTHING
RETURNING id
