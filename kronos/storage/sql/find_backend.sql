-- Whether a backend of ours still lives; its transaction may yet commit.
SELECT 1 FROM pg_stat_activity WHERE pid = %(pid)s AND backend_start = %(backend_start)s
