-- Forget the cached states of a step: every view still works, slower.
WITH gone AS (
    DELETE FROM kronos.checkpoints WHERE run_id = %(run)s AND step = %(step)s RETURNING blob
), unreferred AS (
    DELETE FROM kronos.blob_refs r USING gone
    WHERE r.kind = 'checkpoint' AND r.owner = %(owner)s AND r.blob = gone.blob
)
SELECT count(*) FROM gone
