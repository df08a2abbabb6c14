-- Name this connection as one of the incarnation's, so that the reaper can end it.
INSERT INTO kronos.incarnation_backends (incarnation, pid, backend_start)
VALUES (%(incarnation)s, %(pid)s, %(backend_start)s)
ON CONFLICT DO NOTHING
