-- Record the wish for a run with attributes: it is found by them at once, and its owner puts them on record.
WITH begun AS (
    INSERT INTO kronos.runs (retention_class, definition, workflow, version, input, timeout_ms, attributes, inbox_n)
    SELECT kronos.class_named(coalesce(%(retention)s, d.retention)), d.id, d.workflow, d.version, %(input)s,
           %(timeout_ms)s, %(attributes)s::text::jsonb, 1
    FROM kronos.definitions d WHERE d.id = %(definition)s
    RETURNING id
), told AS (
    INSERT INTO kronos.run_inbox (run_id, command_id, kind, body)
    SELECT id, gen_random_uuid(), 'attribute', convert_to(%(attributes)s::text, 'UTF8') FROM begun
)
SELECT id FROM begun
