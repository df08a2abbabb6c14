-- Forget what has become events in this very transaction, of these runs only.  What became nothing but the end of its
-- run (`by_end`) stays where that end was refused just now: the event that was made of it is left out.
DELETE FROM kronos.run_inbox i
WHERE i.run_id = ANY(%(runs)s::uuid[])
  AND (i.id = ANY(%(ids)s::bigint[])
       OR i.id = ANY(%(by_end)s::bigint[]) AND NOT EXISTS (
           SELECT FROM kronos.runs r WHERE r.id = i.run_id AND r.id = ANY(%(ending)s::uuid[]) AND r.finished_at IS NULL
       ))
