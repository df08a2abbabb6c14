-- List a dataset under a name.
INSERT INTO kronos.datasets (id, name, kind, instrument, rows, start_ns, end_ns, manifest)
VALUES (%(id)s, %(name)s, %(kind)s, %(instrument)s, %(rows)s, %(start_ns)s, %(end_ns)s, %(manifest)s)
ON CONFLICT (id, name) DO NOTHING
