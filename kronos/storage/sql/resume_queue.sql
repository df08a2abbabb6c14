-- Let claims from a queue go on; returns nothing where it was not paused.
UPDATE kronos.queues SET paused_at = NULL, paused_by = NULL WHERE name = %(queue)s AND paused_at IS NOT NULL RETURNING 1
