-- What the definitions are called that some node serves.
SELECT DISTINCT d.id, d.workflow, d.version
FROM kronos.nodes n CROSS JOIN unnest(n.definitions) AS s (id) JOIN kronos.definitions d ON d.id = s.id
