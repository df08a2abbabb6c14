-- List a workflow as it is now; the id hashes everything, so a second registration changes nothing.
INSERT INTO kronos.definitions (id, workflow, version, graph, input_schema, codes, sources, environment, retention)
VALUES (%(id)s, %(workflow)s, %(version)s, %(graph)s, %(input_schema)s, %(codes)s, %(sources)s, %(environment)s, %(retention)s)
ON CONFLICT (id) DO NOTHING
