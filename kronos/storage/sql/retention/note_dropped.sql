-- The partition's table is gone.
UPDATE kronos.retired_partitions SET dropped_at = kronos.now() WHERE leaf = %(leaf)s
