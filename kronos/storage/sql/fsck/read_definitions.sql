-- Every definition with what its id is made of and what is said beside it, and whether sources are kept for it.
SELECT d.id, d.workflow, d.version, d.graph, d.codes, d.sources, d.input_schema, d.retention, d.environment,
       d.created_at > (SELECT kronos.now()) + interval '1 minute',
       EXISTS (SELECT FROM kronos.blob_refs b WHERE b.kind = 'definition' AND b.owner = d.id)
FROM kronos.definitions d
ORDER BY d.id
