-- The definition that a new run of a workflow gets: the one registered last, or last under this version.
SELECT id, graph, input_schema
FROM kronos.definitions
WHERE workflow = %(workflow)s AND (%(version)s::text IS NULL OR version = %(version)s)
ORDER BY created_at DESC, id
LIMIT 1
