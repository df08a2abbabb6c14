-- Start a run with the definition and input of each given-up one, and note which took its place.
WITH letters AS (
    SELECT d.run_id, kronos.uuid7() AS fresh FROM kronos.dead_letters d
    WHERE d.run_id = ANY(%(ids)s::uuid[]) AND d.resolved_at IS NULL
    ORDER BY d.run_id FOR UPDATE
), started AS (
    INSERT INTO kronos.runs (id, retention_class, definition, workflow, version, input, timeout_ms)
    SELECT l.fresh, r.retention_class, r.definition, r.workflow, r.version, r.input, r.timeout_ms
    FROM letters l JOIN kronos.runs r ON r.id = l.run_id
    RETURNING id
)
UPDATE kronos.dead_letters d
SET resolved_at = kronos.now(), resolution = 'requeued', requeued_as = l.fresh
FROM letters l JOIN started s ON s.id = l.fresh
WHERE d.run_id = l.run_id
RETURNING d.run_id::text, d.requeued_as::text
