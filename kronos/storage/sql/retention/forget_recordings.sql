-- Journals and cached states of expired runs go, but for those of steps that forks share through an archive.
WITH expired AS (
    SELECT r.id FROM kronos.runs r
    WHERE r.retention_class = %(class)s AND r.id >= %(low)s AND r.id < %(high)s
      AND NOT EXISTS (SELECT FROM kronos.archives x WHERE x.run_id = r.id)
), segments AS (
    DELETE FROM kronos.journal_segments s USING expired e WHERE s.run_id = e.id RETURNING s.run_id, s.step
), states AS (
    DELETE FROM kronos.checkpoints c USING expired e WHERE c.run_id = e.id RETURNING c.run_id, c.step
)
DELETE FROM kronos.blob_refs b
WHERE (b.kind = 'journal' AND b.owner IN (SELECT run_id::text FROM segments))
   OR (b.kind = 'checkpoint' AND b.owner IN (SELECT run_id::text || '/' || step FROM states))
