-- Jobs, newest first; each filter may be absent.
SELECT id::text, target, queue, key, priority, state::text, attempt, failures, losses, worker, input, output, failure,
       idempotency_key, coalesce(discard_reason, cancel_reason),
       (extract(epoch FROM created_at) * 1e6)::bigint * 1000, (extract(epoch FROM due_at) * 1e6)::bigint * 1000,
       (extract(epoch FROM deadline_at) * 1e6)::bigint * 1000, (extract(epoch FROM started_at) * 1e6)::bigint * 1000,
       (extract(epoch FROM finished_at) * 1e6)::bigint * 1000
FROM kronos.jobs
WHERE run_id IS NULL AND (%(ids)s::uuid[] IS NULL OR id = ANY(%(ids)s::uuid[]))
  AND (%(queue)s::text IS NULL OR queue = %(queue)s)
  AND (%(key)s::text IS NULL OR key = %(key)s)
  AND (%(target)s::text IS NULL OR target = %(target)s)
  AND (%(states)s::text[] IS NULL OR state::text = ANY(%(states)s::text[]))
  AND (%(before)s::uuid IS NULL OR id < %(before)s::uuid)
ORDER BY id DESC
LIMIT %(limit)s
