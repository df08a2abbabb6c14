-- Forget processes that vanished an hour ago.
DELETE FROM kronos.nodes WHERE seen_at < kronos.now() - interval '1 hour'
