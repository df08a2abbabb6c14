-- Stop claims from a queue; what runs goes on.
INSERT INTO kronos.queues (name, paused_at, paused_by) VALUES (%(queue)s, kronos.now(), %(by)s)
ON CONFLICT (name) DO UPDATE SET paused_at = coalesce(queues.paused_at, excluded.paused_at), paused_by = excluded.paused_by
