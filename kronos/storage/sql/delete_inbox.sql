-- Forget what has become events in this very transaction.
DELETE FROM kronos.run_inbox WHERE id = ANY(%(ids)s::bigint[])
