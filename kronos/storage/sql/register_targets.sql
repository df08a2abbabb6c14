-- List what can be submitted by name.
INSERT INTO kronos.job_targets (target, arguments)
SELECT * FROM unnest(%(targets)s::text[], %(arguments)b::bytea[])
ON CONFLICT (target) DO UPDATE SET arguments = excluded.arguments, seen_at = excluded.seen_at
