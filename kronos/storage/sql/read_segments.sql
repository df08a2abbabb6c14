-- The sealed segments of an attempt, in order.
SELECT number, first_row, last_row, core_chain, user_chain, encode(blob, 'hex') AS blob
FROM kronos.journal_segments
WHERE run_id = %(run)s AND step = %(step)s AND attempt = %(attempt)s
ORDER BY number
