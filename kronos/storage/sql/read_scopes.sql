-- Under which definition, input and changes each part of a run's history was recorded, oldest part first.
SELECT r.id, p.after_seq, r.definition, r.input, r.changes
FROM (
    SELECT a.ancestor AS run, a.after_seq FROM kronos.run_ancestry a WHERE a.run_id = %(run)s
    UNION ALL
    SELECT r.id, coalesce(r.parent_seq, 0) FROM kronos.runs r WHERE r.id = %(run)s
) p JOIN kronos.runs r ON r.id = p.run
ORDER BY p.after_seq
