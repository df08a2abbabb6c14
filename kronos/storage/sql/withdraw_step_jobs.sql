-- Take back offers of attempts whose outcome comes on record in this flush: an owner who did not know of it yet had made
-- them anew, and whoever takes them now would work for nothing.
DELETE FROM kronos.jobs WHERE id IN (
    SELECT id FROM kronos.jobs WHERE idempotency_key = ANY(%(onces)s::text[]) ORDER BY id FOR UPDATE
)
