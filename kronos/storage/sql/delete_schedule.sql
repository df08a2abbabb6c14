-- Forget a schedule and its firings; its runs stay.
DELETE FROM kronos.schedules WHERE name = %(name)s RETURNING id
