-- References from what is not there.
SELECT 'blob_refs: ' || encode(b.blob, 'hex') || ' of ' || b.kind || ' ' || b.owner, 'there is no such ' || k.what
FROM kronos.blob_refs b
CROSS JOIN LATERAL (SELECT CASE WHEN b.kind IN ('run', 'journal', 'archive', 'checkpoint') THEN 'run' ELSE b.kind END AS what,
                           split_part(b.owner, '/', 1) AS run) k
LEFT JOIN kronos.runs r ON k.what = 'run' AND r.id::text = k.run
LEFT JOIN kronos.definitions d ON b.kind = 'definition' AND d.id = b.owner
WHERE k.what <> 'dataset' AND r.id IS NULL AND d.id IS NULL
