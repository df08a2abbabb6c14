-- The job that holds an idempotency key.
SELECT id::text, target, input FROM kronos.jobs WHERE idempotency_key = %(idempotency_key)s
