-- Fire no slot until resumed.
UPDATE kronos.schedules SET paused_at = coalesce(paused_at, kronos.now()) WHERE id = %(schedule)s
