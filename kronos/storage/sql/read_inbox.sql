-- What others want of the runs that this incarnation owns.  Asked four times a second, and mostly there is nothing: then
-- the one look into the inbox is all, and none of the owned runs is read.
SELECT i.id, i.run_id, i.kind, i.body
FROM kronos.run_inbox i JOIN kronos.runs r ON r.id = i.run_id
WHERE r.owner = %(incarnation)s AND (SELECT EXISTS (SELECT FROM kronos.run_inbox))
ORDER BY i.id
LIMIT 1000
