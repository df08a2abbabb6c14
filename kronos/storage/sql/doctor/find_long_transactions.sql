-- Transactions older than `older_s`: vacuum cannot remove what died since they began.
SELECT pid, coalesce(nullif(application_name, ''), 'unnamed') AS name, state,
       extract(epoch FROM clock_timestamp() - xact_start)::float8 AS open_s, left(regexp_replace(query, '\s+', ' ', 'g'), 60) AS query
FROM pg_stat_activity
WHERE xact_start < clock_timestamp() - make_interval(secs => %(older_s)s) AND pid <> pg_backend_pid() AND backend_type = 'client backend'
ORDER BY xact_start
