-- Hold this incarnation's fence for the length of the transaction; the reaper takes the same lock exclusively.
SELECT pg_advisory_xact_lock_shared(7305, %(incarnation)s::integer)
