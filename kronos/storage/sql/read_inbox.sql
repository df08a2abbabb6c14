-- What others want of the runs that this incarnation owns.
SELECT i.id, i.run_id, i.kind, i.body
FROM kronos.run_inbox i JOIN kronos.runs r ON r.id = i.run_id
WHERE r.owner = %(incarnation)s
ORDER BY i.id
LIMIT 1000
