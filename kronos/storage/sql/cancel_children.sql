-- Ask the open children of runs that ended just now to end too.
WITH asked AS (
    UPDATE kronos.runs c SET inbox_n = c.inbox_n + 1, wake_at = NULL
    FROM kronos.runs p
    WHERE c.child_of = p.id AND p.id = ANY(%(runs)s::uuid[]) AND p.finished_at IS NOT NULL AND c.finished_at IS NULL
    RETURNING c.id, p.id AS parent, p.phase
)
INSERT INTO kronos.run_inbox (run_id, command_id, kind, body)
SELECT a.id, md5(a.id::text || '/cancelled with its parent')::uuid, 'cancel',
       convert_to(format('{"by":"parent","reason":"its parent run %%s is %%s"}', a.parent, a.phase), 'UTF8')
FROM asked a ORDER BY a.id
