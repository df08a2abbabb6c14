-- The commands that wait, of one run or of all.
SELECT id, run_id, kind, body FROM kronos.run_inbox
WHERE %(only)s::uuid IS NULL OR run_id = %(only)s
ORDER BY id
