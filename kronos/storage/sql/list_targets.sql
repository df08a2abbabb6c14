-- What can be submitted by name.
SELECT target FROM kronos.job_targets ORDER BY target LIMIT 1000
