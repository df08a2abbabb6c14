-- End the connections of an incarnation that holds its fence in a stalled flush.
SELECT pg_terminate_backend(b.pid)
FROM kronos.incarnation_backends b JOIN pg_stat_activity a ON a.pid = b.pid AND a.backend_start = b.backend_start
WHERE b.incarnation = %(incarnation)s
