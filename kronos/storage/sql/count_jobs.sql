-- Open and dead jobs by queue and state, from partial indexes.
SELECT queue, state::text, count(*) FROM kronos.jobs WHERE state IN ('pending', 'running', 'dead') GROUP BY 1, 2
