-- Expired forks stand on nothing any more; archives that no other fork stands on are not needed.
WITH gone AS (
    DELETE FROM kronos.run_ancestry a USING kronos.runs r
    WHERE a.run_id = r.id AND r.retention_class = %(class)s AND r.id >= %(low)s AND r.id < %(high)s
    RETURNING a.run_id, a.ancestor
), unneeded AS (
    DELETE FROM kronos.archives x
    WHERE x.run_id IN (SELECT ancestor FROM gone)
      AND NOT EXISTS (
          SELECT FROM kronos.run_ancestry a
          WHERE a.ancestor = x.run_id AND NOT EXISTS (SELECT FROM gone g WHERE g.run_id = a.run_id)
      )
    RETURNING x.run_id
)
DELETE FROM kronos.blob_refs b USING unneeded u WHERE b.kind = 'archive' AND b.owner = u.run_id::text
