-- Give back every run of a dead incarnation, whoever declared it dead.
UPDATE kronos.runs r SET owner = NULL, lost_owner = r.owner
FROM kronos.incarnations i
WHERE r.owner IS NOT NULL AND i.id = r.owner AND i.dead_at IS NOT NULL
RETURNING r.id
