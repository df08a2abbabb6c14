-- One row when this incarnation may still write.  A statement of its own, after the fence: a snapshot taken before
-- the lock was granted would not see the reaper's verdict.
SELECT 1 FROM kronos.incarnations WHERE id = %(incarnation)s AND dead_at IS NULL
