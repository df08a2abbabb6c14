-- Fire again, from the next slot on.
UPDATE kronos.schedules SET paused_at = NULL, next_at = %(next_at)s WHERE id = %(schedule)s
