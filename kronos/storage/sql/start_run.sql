-- Record the wish for a run; a worker that serves its definition claims it.
INSERT INTO kronos.runs (definition, workflow, version, input, timeout_ms)
SELECT %(definition)s, d.workflow, d.version, %(input)s, %(timeout_ms)s FROM kronos.definitions d WHERE d.id = %(definition)s
RETURNING id
