-- The partition is out of the log.
UPDATE kronos.retired_partitions SET detached_at = kronos.now() WHERE leaf = %(leaf)s
