-- A run, every run it comes from, and all that come from it, oldest first; `side` is -1, 0 or 1 for these three.
WITH RECURSIVE up (id, parent, depth) AS (
    SELECT id, parent_run, 0 FROM kronos.runs WHERE id = %(run)s
    UNION ALL
    SELECT r.id, r.parent_run, up.depth + 1 FROM up JOIN kronos.runs r ON r.id = up.parent
), down (id) AS (
    SELECT id FROM kronos.runs WHERE parent_run = %(run)s
    UNION ALL
    SELECT r.id FROM down JOIN kronos.runs r ON r.parent_run = down.id
), kin (id, side, depth) AS (
    SELECT id, CASE depth WHEN 0 THEN 0 ELSE -1 END, depth FROM up
    UNION ALL
    (SELECT id, 1, 0 FROM down ORDER BY id LIMIT %(limit)s)
)
SELECT r.id, r.parent_run, coalesce(r.parent_seq, 0), r.workflow, r.version, r.phase::text,
       (extract(epoch FROM r.created_at) * 1e9)::bigint AS created_ns, r.changes,
       p.definition IS DISTINCT FROM r.definition AND p.id IS NOT NULL,
       p.input IS DISTINCT FROM r.input AND p.id IS NOT NULL, k.side, p.changes
FROM kin k JOIN kronos.runs r ON r.id = k.id LEFT JOIN kronos.runs p ON p.id = r.parent_run
ORDER BY k.side, k.depth DESC, r.id
