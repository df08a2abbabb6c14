-- The cached states of an attempt, by row.
SELECT row, encode(blob, 'hex') AS blob
FROM kronos.checkpoints
WHERE run_id = %(run)s AND step = %(step)s AND attempt = %(attempt)s
ORDER BY row
