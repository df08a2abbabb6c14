-- Where a run's history stood when its owner last noted it, and whether nothing may follow.
SELECT head_seq, head_hash, finished_at IS NOT NULL FROM kronos.runs WHERE id = %(run)s
