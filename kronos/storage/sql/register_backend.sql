-- Name this connection as one of the incarnation's, so that the reaper can end it.
INSERT INTO kronos.incarnation_backends (incarnation, pid, backend_start)
SELECT %(incarnation)s, pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()
ON CONFLICT DO NOTHING
