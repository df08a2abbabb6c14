-- Wait until no flush of the silent incarnation is under way; lock_timeout bounds the wait.
SELECT pg_advisory_xact_lock(7305, %(incarnation)s::integer)
