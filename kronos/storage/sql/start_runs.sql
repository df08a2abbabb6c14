-- Record the wish for many runs of one workflow at once.
INSERT INTO kronos.runs (retention_class, definition, workflow, version, input, timeout_ms)
SELECT kronos.class_named(coalesce(%(retention)s, d.retention)), d.id, d.workflow, d.version, i.input, %(timeout_ms)s
FROM kronos.definitions d, unnest(%(inputs)s::bytea[]) WITH ORDINALITY AS i (input, place)
WHERE d.id = %(definition)s
ORDER BY i.place
RETURNING id
