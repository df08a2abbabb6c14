-- Content by its hash.
SELECT data FROM kronos.blobs WHERE hash = %(hash)s
