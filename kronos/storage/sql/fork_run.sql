-- Record the wish for a fork: a run whose history begins where its parent's stood at `seq`.  Nothing is copied.
INSERT INTO kronos.runs (retention_class, definition, workflow, version, input, timeout_ms, parent_run, parent_seq,
                         head_seq, head_hash, changes)
SELECT p.retention_class, d.id, d.workflow, d.version, %(input)s, %(timeout_ms)s, p.id, %(seq)s,
       %(seq)s, %(hash)s, %(changes)s
FROM kronos.runs p, kronos.definitions d
WHERE p.id = %(parent)s AND d.id = %(definition)s
RETURNING id
