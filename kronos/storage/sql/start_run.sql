-- Record the wish for a run; a worker that serves its definition claims it.
INSERT INTO kronos.runs (retention_class, definition, workflow, version, input, timeout_ms)
SELECT kronos.class_named(coalesce(%(retention)s, d.retention)), d.id, d.workflow, d.version, %(input)s, %(timeout_ms)s
FROM kronos.definitions d WHERE d.id = %(definition)s
RETURNING id
