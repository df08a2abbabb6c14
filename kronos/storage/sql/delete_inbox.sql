-- Forget what has become events in this very transaction: of these runs only, and of none whose end was refused just
-- now, for that end was made of them and is left out.
DELETE FROM kronos.run_inbox i
WHERE i.id = ANY(%(ids)s::bigint[]) AND i.run_id = ANY(%(runs)s::uuid[])
  AND NOT EXISTS (
      SELECT FROM kronos.runs r WHERE r.id = i.run_id AND r.id = ANY(%(ending)s::uuid[]) AND r.finished_at IS NULL
  )
