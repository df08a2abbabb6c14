-- One row when this incarnation may still write.  Locked, because a step may have chosen a stricter isolation: a snapshot
-- that is older than the reaper's verdict is refused with 40001 instead of overlooking it.
SELECT 1 FROM kronos.incarnations WHERE id = %(incarnation)s AND dead_at IS NULL FOR SHARE
