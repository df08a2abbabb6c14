-- How many seconds until a delayed job is due; null where none waits.
SELECT extract(epoch FROM min(due_at) - kronos.now())::float8 FROM kronos.jobs
WHERE state = 'pending' AND delayed AND due_at > (SELECT kronos.now())
