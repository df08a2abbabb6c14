-- The parts of a fork's history beyond `after` that stand in archives, because the run that recorded them has expired.
SELECT a.after_seq, a.upto_seq, a.upto_hash, x.blob
FROM kronos.run_ancestry a JOIN kronos.archives x ON x.run_id = a.ancestor
WHERE a.run_id = %(run)s AND a.upto_seq > %(after)s
ORDER BY a.after_seq
