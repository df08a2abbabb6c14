-- Free the key of a finished job whose retention has passed, before it is asked for again.
UPDATE kronos.jobs SET idempotency_key = NULL
WHERE idempotency_key = %(idempotency_key)s AND expires_at <= kronos.now()
