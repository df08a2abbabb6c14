-- Every class, how long it keeps, and how many runs it has.
SELECT c.name, extract(epoch FROM c.keep)::float8, c.hold,
       (SELECT count(*) FROM kronos.runs r WHERE r.retention_class = c.id AND r.expired_at IS NULL),
       (SELECT count(*) FROM kronos.runs r WHERE r.retention_class = c.id AND r.expired_at IS NOT NULL)
FROM kronos.retention_classes c
ORDER BY c.id
