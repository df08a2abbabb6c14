-- Everything that others want of these runs, before their new owner decides what was lost.
SELECT i.id, i.run_id, i.kind, i.body
FROM kronos.run_inbox i JOIN kronos.runs r ON r.id = i.run_id
WHERE r.owner = %(incarnation)s AND i.run_id = ANY(%(runs)s::uuid[])
ORDER BY i.id
