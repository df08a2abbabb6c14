-- Datasets, newest first; all of them, or those that a name, an id, the beginning of an id or name@id names.
SELECT id, name, kind, instrument, rows, start_ns, end_ns, manifest,
       (extract(epoch FROM created_at) * 1e9)::bigint AS created_at_ns
FROM kronos.datasets
WHERE %(wanted)s::text IS NULL OR name = %(wanted)s OR id = %(wanted)s OR name || '@' || id = %(wanted)s
   OR (length(%(wanted)s) >= 12 AND starts_with(id, %(wanted)s))
ORDER BY created_at DESC, id
