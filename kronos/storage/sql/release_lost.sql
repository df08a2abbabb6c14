-- Give back every run of a dead incarnation, whoever declared it dead.  It is due at once (`wake_at`): claims look for
-- fresh runs behind those that were claimed before, not at their ranks.
UPDATE kronos.runs r SET owner = NULL, wake_at = kronos.now(), lost_owner = r.owner
FROM kronos.incarnations i
WHERE r.owner IS NOT NULL AND i.id = r.owner AND i.dead_at IS NOT NULL
RETURNING r.id
