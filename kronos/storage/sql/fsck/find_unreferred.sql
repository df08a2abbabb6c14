-- Of what recorded values refer to: whose blob, or whose reference, is not there.
SELECT s.owner, encode(s.blob, 'hex'), b.hash IS NULL
FROM unnest(%(owners)s::text[], %(blobs)s::bytea[]) AS s (owner, blob)
LEFT JOIN kronos.blobs b ON b.hash = s.blob
LEFT JOIN kronos.blob_refs r ON r.blob = s.blob AND r.kind = %(kind)s AND r.owner = s.owner
WHERE b.hash IS NULL OR r.blob IS NULL
