-- Forget finished jobs whose retention has passed, a bounded number at a time; their idempotency keys are free then.
DELETE FROM kronos.jobs WHERE id IN (
    SELECT id FROM kronos.jobs WHERE expires_at <= (SELECT kronos.now())
    ORDER BY expires_at LIMIT 5000 FOR UPDATE SKIP LOCKED
)
