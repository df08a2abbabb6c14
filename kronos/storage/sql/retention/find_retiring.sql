-- The partition that was begun first and is not finished, and how far it has come; on hold, detaching is the end.
SELECT p.leaf, p.retention_class, p.low, p.high, p.detached_at IS NOT NULL, p.forgotten_at IS NOT NULL, c.hold, c.name
FROM kronos.retired_partitions p JOIN kronos.retention_classes c ON c.id = p.retention_class
WHERE p.dropped_at IS NULL AND (p.detached_at IS NULL OR NOT c.hold)
ORDER BY p.began_at, p.leaf
LIMIT 1
