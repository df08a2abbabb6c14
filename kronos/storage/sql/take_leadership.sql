-- Begin a new epoch where the old one has run out; waits for transactions of the old leader that are under way.
UPDATE kronos.leader
SET epoch = epoch + 1, node = %(node)s, until = kronos.now() + make_interval(secs => %(lease_s)s)
WHERE until <= kronos.now() OR node = %(node)s
RETURNING epoch
