-- Why events are where the walk met no run of theirs: no such run, or a run of another class.
SELECT s.id, r.retention_class
FROM unnest(%(runs)s::uuid[]) AS s (id) LEFT JOIN kronos.runs r ON r.id = s.id
