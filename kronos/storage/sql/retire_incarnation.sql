-- End the life of a worker that leaves in order; it owns nothing any more.
UPDATE kronos.incarnations SET dead_at = kronos.now(), dead_why = %(why)s
WHERE id = %(incarnation)s AND dead_at IS NULL
