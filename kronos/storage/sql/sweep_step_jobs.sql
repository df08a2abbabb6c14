-- Take back steps that nobody needs any more: their run has ended.
DELETE FROM kronos.jobs WHERE id IN (
    SELECT j.id FROM kronos.jobs j JOIN kronos.runs r ON r.id = j.run_id
    WHERE j.run_id IS NOT NULL AND r.finished_at IS NOT NULL
    LIMIT 5000 FOR UPDATE OF j SKIP LOCKED
)
