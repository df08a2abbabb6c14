-- How many runs stand in each phase, and how many facts their rows know of: what /metrics tells.
SELECT phase::text, count(*), coalesce(sum(head_seq), 0)::bigint
FROM kronos.runs
GROUP BY phase
