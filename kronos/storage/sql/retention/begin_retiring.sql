-- Note that a partition goes, before anything of it does: what is begun is finished, whoever is killed meanwhile.
INSERT INTO kronos.retired_partitions (leaf, retention_class, low, high) VALUES (%(leaf)s, %(class)s, %(low)s, %(high)s)
ON CONFLICT (leaf) DO NOTHING
