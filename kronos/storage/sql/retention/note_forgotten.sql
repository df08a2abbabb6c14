-- Nothing refers to what the partition held.
UPDATE kronos.retired_partitions SET forgotten_at = kronos.now() WHERE leaf = %(leaf)s
