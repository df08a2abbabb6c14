-- Detached partitions whose tables are kept until they are exported, oldest first.
SELECT p.leaf, p.retention_class, p.low, p.high, true, p.forgotten_at IS NOT NULL, true, ''
FROM kronos.retired_partitions p
WHERE p.dropped_at IS NULL AND p.detached_at IS NOT NULL
ORDER BY p.began_at, p.leaf
