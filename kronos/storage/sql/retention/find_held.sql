-- Detached partitions whose tables are kept until they are exported, oldest first.
SELECT p.leaf FROM kronos.retired_partitions p
WHERE p.dropped_at IS NULL AND p.forgotten_at IS NOT NULL
ORDER BY p.began_at, p.leaf
