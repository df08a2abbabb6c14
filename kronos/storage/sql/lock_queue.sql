-- Claim alone in this queue until the end of the transaction: what its limits are held against is counted next.
SELECT pg_advisory_xact_lock(hashtextextended('kronos.queue ' || %(queue)s, 0))
