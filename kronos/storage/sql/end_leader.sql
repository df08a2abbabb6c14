-- End the connections of a leader whose lease has run out: one behind a dead link would keep its lock, or a transaction.
SELECT pg_terminate_backend(l.pid)
FROM pg_locks l
WHERE l.pid <> %(own)s AND l.granted
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND ((l.locktype = 'advisory' AND l.classid = 7306 AND l.objid = 0 AND l.objsubid = 2)
       OR (l.relation = 'kronos.leader'::regclass AND l.mode = 'RowShareLock'))
  AND EXISTS (SELECT FROM kronos.leader WHERE until <= kronos.now())
