-- Try to be the one candidate; held as long as the connection, so that the others need not contend for the row.
SELECT pg_try_advisory_lock(7306, 0)
