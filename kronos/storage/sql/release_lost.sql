-- Give back every run of a dead incarnation, whoever declared it dead.  It is due at once (`wake_at`): claims look for
-- fresh runs behind those that were claimed before, not at their ranks.  Every worker asks each second, so owners are
-- met by hopping from one to the next in their index: a row an owner is read, not a row an owned run.
WITH RECURSIVE owners (id) AS (
    (SELECT owner FROM kronos.runs WHERE owner IS NOT NULL ORDER BY owner LIMIT 1)
    UNION ALL
    SELECT (SELECT r.owner FROM kronos.runs r WHERE r.owner > o.id ORDER BY r.owner LIMIT 1)
    FROM owners o WHERE o.id IS NOT NULL
)
UPDATE kronos.runs r SET owner = NULL, wake_at = kronos.now(), lost_owner = r.owner
WHERE r.owner = ANY(ARRAY(
    SELECT o.id FROM owners o JOIN kronos.incarnations i ON i.id = o.id WHERE i.dead_at IS NOT NULL
))
RETURNING r.id
