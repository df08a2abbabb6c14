-- Begin the life of a worker process, with its first heartbeat.
WITH born AS (
    INSERT INTO kronos.incarnations (name, host, pid, lease_ms)
    VALUES (%(name)s, %(host)s, %(pid)s, %(lease_ms)s)
    RETURNING id
)
INSERT INTO kronos.heartbeats (incarnation, at) SELECT id, kronos.now() FROM born RETURNING incarnation
