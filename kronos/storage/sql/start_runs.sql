-- Record the wish for many runs of one workflow at once.  (OFFSET 0: the class is looked up once, not for each run.)
INSERT INTO kronos.runs (retention_class, definition, workflow, version, input, timeout_ms)
SELECT d.class, d.id, d.workflow, d.version, i.input, %(timeout_ms)s
FROM (
    SELECT kronos.class_named(coalesce(%(retention)s, retention)) AS class, id, workflow, version
    FROM kronos.definitions WHERE id = %(definition)s OFFSET 0
) d, unnest(%(inputs)s::bytea[]) WITH ORDINALITY AS i (input, place)
ORDER BY i.place
RETURNING id
