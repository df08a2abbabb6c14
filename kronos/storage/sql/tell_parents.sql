-- Tell parents how their children ended, in the transaction that ends them; a parent that has ended is told nothing.
WITH told AS (
    SELECT c.id AS child, c.child_of AS parent, d.body
    FROM unnest(%(children)s::uuid[], %(bodies)s::bytea[]) AS d (id, body)
    JOIN kronos.runs c ON c.id = d.id AND c.finished_at IS NOT NULL
), open AS (
    UPDATE kronos.runs p SET inbox_n = p.inbox_n + t.n, wake_at = NULL
    FROM (SELECT parent, count(*) AS n FROM told GROUP BY parent) t
    WHERE p.id = t.parent AND p.finished_at IS NULL
    RETURNING p.id
)
INSERT INTO kronos.run_inbox (run_id, command_id, kind, body)
SELECT o.id, t.child, 'child_ended', t.body FROM told t JOIN open o ON o.id = t.parent ORDER BY t.child
