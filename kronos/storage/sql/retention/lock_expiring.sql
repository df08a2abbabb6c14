-- Lock the next runs whose history goes: a fork of one waits here, and is refused afterwards.
SELECT id FROM kronos.runs
WHERE retention_class = %(class)s AND id >= %(low)s AND id < %(high)s AND expired_at IS NULL AND finished_at IS NOT NULL
ORDER BY id
LIMIT %(limit)s
FOR UPDATE
