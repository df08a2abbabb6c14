-- Runs that say they took the place of another, which says otherwise, or was asked for by somebody else.
SELECT 'runs: ' || r.id, 'it took the place of ' || p.id || ', whose row says otherwise'
FROM kronos.runs r JOIN kronos.runs p ON p.id = r.continues
WHERE p.continued_by IS DISTINCT FROM r.id
   OR (r.child_of, r.child_step, r.child_attempt) IS DISTINCT FROM (p.child_of, p.child_step, p.child_attempt)
