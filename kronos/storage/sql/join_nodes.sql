-- Say that a process is up and may lead.
INSERT INTO kronos.nodes (kind, name, host, pid, lease_ms)
VALUES (%(kind)s, %(name)s, %(host)s, %(pid)s, %(lease_ms)s)
RETURNING id
