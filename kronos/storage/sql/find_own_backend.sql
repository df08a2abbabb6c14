-- Who this connection is, on the server's side; asked before SET ROLE, which hides it.
SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()
