-- Whether a database step's transaction happened: its outcome waits in the inbox, or is an event already.
SELECT 1 FROM kronos.run_inbox WHERE command_id = %(command)s
UNION ALL
SELECT 1
FROM kronos.runs r JOIN kronos.events e ON e.retention_class = r.retention_class AND e.run_id = r.id
WHERE r.id = %(run)s AND e.step = %(step)s AND e.attempt = %(attempt)s AND e.kind = 'step_completed'
