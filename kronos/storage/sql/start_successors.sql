-- Start the runs that take the place of those that ended just now, with all that these were asked for; where the end
-- was refused there is no successor.
WITH following AS (
    UPDATE kronos.runs p SET continued_by = s.id
    FROM unnest(%(runs)s::uuid[], %(before)s::uuid[], %(inputs)s::bytea[]) AS s (id, before, input)
    WHERE p.id = s.before AND p.finished_at IS NOT NULL
    RETURNING p.*, s.input AS next_input
)
INSERT INTO kronos.runs (id, retention_class, definition, workflow, version, input, timeout_ms, continues, child_of,
                         child_step, child_attempt)
SELECT f.continued_by, f.retention_class, f.definition, f.workflow, f.version, f.next_input, f.timeout_ms, f.id, f.child_of,
       f.child_step, f.child_attempt
FROM following f
