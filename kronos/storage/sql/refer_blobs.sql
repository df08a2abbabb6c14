-- Say who needs a blob, in the transaction that writes the row which refers to it.
INSERT INTO kronos.blob_refs (blob, kind, owner)
SELECT * FROM unnest(%(blobs)s::bytea[], %(kinds)s::text[], %(owners)s::text[])
ON CONFLICT DO NOTHING
