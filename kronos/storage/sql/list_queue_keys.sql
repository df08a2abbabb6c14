-- Where the jobs of each key of a queue stand, busiest first.
SELECT key, count(*) FILTER (WHERE state = 'pending'), count(*) FILTER (WHERE state = 'running')
FROM kronos.jobs WHERE queue = %(queue)s AND state IN ('pending', 'running')
GROUP BY key ORDER BY 3 DESC, 2 DESC, 1 LIMIT 1000
