-- Wait for the next slot.
UPDATE kronos.schedules SET next_at = %(next_at)s WHERE id = %(schedule)s
