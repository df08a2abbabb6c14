-- What a fork's history stands on, oldest first.
SELECT ancestor, after_seq, upto_seq, upto_hash FROM kronos.run_ancestry WHERE run_id = %(run)s ORDER BY place
