-- How long the present leader may lead, and which backend this is.
SELECT epoch, node, until <= kronos.now() AS expired,
       CASE WHEN isfinite(until) THEN extract(epoch FROM until - kronos.now())::float8 ELSE 0 END AS left_s,
       pg_backend_pid()
FROM kronos.leader
