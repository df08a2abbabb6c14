-- Record the wish for many runs of one workflow at once.
INSERT INTO kronos.runs (definition, workflow, version, input)
SELECT d.id, d.workflow, d.version, i.input
FROM kronos.definitions d, unnest(%(inputs)s::bytea[]) WITH ORDINALITY AS i (input, place)
WHERE d.id = %(definition)s
ORDER BY i.place
RETURNING id
