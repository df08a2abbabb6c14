-- Lock the rows that the ends of `runs` touch, in order: their own, their parents', their open children's.
SELECT id FROM kronos.runs
WHERE id = ANY(%(runs)s::uuid[]) OR id = ANY(%(parents)s::uuid[])
   OR id = ANY(ARRAY(SELECT c.id FROM kronos.runs c WHERE c.child_of = ANY(%(runs)s::uuid[]) AND c.finished_at IS NULL))
ORDER BY id
FOR NO KEY UPDATE
