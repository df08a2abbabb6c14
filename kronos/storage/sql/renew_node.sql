-- Say that a process is still up, and what it serves; the backend tells a pooler.
UPDATE kronos.nodes
SET seen_at = kronos.now(), incarnation = %(incarnation)s, definitions = %(definitions)s
WHERE id = %(node)s
RETURNING pg_backend_pid()
