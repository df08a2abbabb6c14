-- Put one command into the inboxes of those of `runs` that are open, in lock order.  Returns which took it.
WITH chosen AS (
    SELECT id FROM kronos.runs WHERE id = ANY(%(runs)s::uuid[]) AND finished_at IS NULL ORDER BY id FOR UPDATE
), open AS (
    UPDATE kronos.runs r SET inbox_n = r.inbox_n + 1, wake_at = NULL FROM chosen WHERE r.id = chosen.id RETURNING r.id
)
INSERT INTO kronos.run_inbox (run_id, command_id, kind, body)
SELECT id, gen_random_uuid(), %(kind)s, %(body)s FROM open
RETURNING run_id
