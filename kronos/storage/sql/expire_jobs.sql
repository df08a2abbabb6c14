-- End jobs that nobody began before their deadline.
UPDATE kronos.jobs j
SET state = 'expired', finished_at = kronos.now(), expires_at = kronos.now() + j.keep_ms * interval '1 millisecond'
FROM (
    SELECT id FROM kronos.jobs WHERE state = 'pending' AND deadline_at <= (SELECT kronos.now())
    ORDER BY id LIMIT 1000 FOR UPDATE SKIP LOCKED
) late
WHERE j.id = late.id
RETURNING j.id::text
