-- Delete what nobody has touched for the grace and nobody refers to, among the next blobs by hash.  The grace is twice
-- the age at which writers touch (put_blobs.sql) and far longer than any flush: a writer that is about to refer has
-- locked or renewed the row.  SKIP LOCKED: the sweep waits for nobody, and a row renewed meanwhile is judged anew.
WITH examined AS (
    SELECT hash FROM kronos.blobs WHERE hash > %(after)s ORDER BY hash LIMIT %(limit)s
), idle AS (
    SELECT b.hash FROM kronos.blobs b JOIN examined e ON e.hash = b.hash
    WHERE b.touched < kronos.now() - interval '1 hour'
      AND NOT EXISTS (SELECT FROM kronos.blob_refs r WHERE r.blob = b.hash)
    FOR UPDATE OF b SKIP LOCKED
), gone AS (
    DELETE FROM kronos.blobs b USING idle WHERE b.hash = idle.hash RETURNING b.size
)
SELECT (SELECT count(*) FROM examined), (SELECT hash FROM examined ORDER BY hash DESC LIMIT 1),
       (SELECT count(*) FROM gone), (SELECT coalesce(sum(size), 0)::bigint FROM gone)
