-- Start the children of runs, in the transaction that records their starts: so there is one of each, or none.  A child
-- whose definition is not registered is refused (NOT NULL), never left out: its parent would wait for ever.
INSERT INTO kronos.runs (id, retention_class, definition, workflow, version, input, timeout_ms, child_of, child_step,
                         child_attempt)
SELECT c.id, p.retention_class, d.id, d.workflow, d.version, c.input, c.timeout_ms, p.id, c.step, c.attempt
FROM unnest(%(runs)s::uuid[], %(parents)s::uuid[], %(steps)s::text[], %(attempts)s::smallint[], %(definitions)s::text[],
            %(inputs)s::bytea[], %(timeouts)s::bigint[]) AS c (id, parent, step, attempt, definition, input, timeout_ms)
JOIN kronos.runs p ON p.id = c.parent LEFT JOIN kronos.definitions d ON d.id = c.definition
