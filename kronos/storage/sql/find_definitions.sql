-- Definitions, newest first; all of them, or those with one id or one workflow name.
SELECT id, workflow, version, graph, input_schema, codes, sources, environment,
       (extract(epoch FROM created_at) * 1e9)::bigint AS created_ns
FROM kronos.definitions
WHERE (%(id)s::text IS NULL OR id = %(id)s) AND (%(workflow)s::text IS NULL OR workflow = %(workflow)s)
ORDER BY created_at DESC, id
