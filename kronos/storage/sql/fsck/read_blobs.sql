-- Every blob.
SELECT hash, size, data FROM kronos.blobs ORDER BY hash
