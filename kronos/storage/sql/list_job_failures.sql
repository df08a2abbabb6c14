-- The failed attempts of a job, in order.
SELECT attempt, worker, (extract(epoch FROM started_at) * 1e6)::bigint * 1000,
       (extract(epoch FROM finished_at) * 1e6)::bigint * 1000, failure
FROM kronos.job_failures WHERE job_id = %(job)s ORDER BY attempt
