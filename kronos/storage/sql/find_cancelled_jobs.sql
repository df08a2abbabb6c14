-- Of the jobs that this incarnation has in hand, those whose end somebody asked for, and those that are gone.
SELECT kept.id::text
FROM unnest(%(kept)s::uuid[]) AS kept (id)
LEFT JOIN kronos.jobs j ON j.id = kept.id AND j.state = 'running' AND j.worker = %(incarnation)s
WHERE j.id IS NULL OR j.cancel_reason IS NOT NULL
