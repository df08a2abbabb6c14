-- Name the runs whose events a new fork shares: its parent's own ancestry up to the fork, then the parent itself.
INSERT INTO kronos.run_ancestry (run_id, place, ancestor, after_seq, upto_seq, upto_hash)
SELECT %(run)s, row_number() OVER (ORDER BY p.after_seq) - 1, p.run, p.after_seq, least(p.upto_seq, %(seq)s),
       CASE WHEN p.upto_seq <= %(seq)s THEN p.upto_hash ELSE %(hash)s END
FROM (
    SELECT a.ancestor AS run, a.after_seq, a.upto_seq, a.upto_hash
    FROM kronos.run_ancestry a WHERE a.run_id = %(parent)s
    UNION ALL
    SELECT r.id, coalesce(r.parent_seq, 0), 2000000000, NULL FROM kronos.runs r WHERE r.id = %(parent)s
) p
WHERE p.after_seq < %(seq)s
