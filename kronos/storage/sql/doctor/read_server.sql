-- What the server promises, and how full it is.
SELECT current_setting('server_version') AS version, current_setting('fsync') AS fsync,
       current_setting('full_page_writes') AS full_page_writes, current_setting('synchronous_commit') AS synchronous_commit,
       current_setting('max_connections')::integer AS connections_max,
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
       EXISTS (SELECT FROM pg_roles WHERE rolname = 'kronos_runtime') AS has_role,
       coalesce((SELECT pg_has_role(session_user, oid, 'MEMBER') FROM pg_roles WHERE rolname = 'kronos_runtime'), false) AS may_take_role,
       pg_database_size(current_database()) AS bytes
