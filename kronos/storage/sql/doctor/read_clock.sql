-- The database's wall clock, in ns since the epoch.
SELECT (extract(epoch FROM clock_timestamp()) * 1e6)::bigint * 1000 AS ns
