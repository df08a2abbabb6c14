-- Every definition with what its id is made of.
SELECT id, workflow, version, graph, codes, sources FROM kronos.definitions ORDER BY id
