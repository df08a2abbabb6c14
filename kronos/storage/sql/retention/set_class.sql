-- Make a class, or change how long it keeps.
INSERT INTO kronos.retention_classes (id, name, keep, hold)
SELECT coalesce(max(id), 0) + 1, %(name)s, make_interval(secs => %(keep_s)s), %(hold)s FROM kronos.retention_classes
ON CONFLICT (name) DO UPDATE SET keep = excluded.keep, hold = excluded.hold
