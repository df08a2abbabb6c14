-- From now on forks read this prefix from its archive.
INSERT INTO kronos.archives (run_id, seq, blob) VALUES (%(run)s, %(seq)s, %(blob)s) ON CONFLICT (run_id) DO NOTHING
