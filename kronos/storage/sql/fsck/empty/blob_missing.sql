-- References to blobs that are not stored.
SELECT 'blob_refs: ' || encode(r.blob, 'hex') || ' of ' || r.kind || ' ' || r.owner, 'the blob is not stored'
FROM kronos.blob_refs r
WHERE NOT EXISTS (SELECT FROM kronos.blobs b WHERE b.hash = r.blob)
ORDER BY 1
