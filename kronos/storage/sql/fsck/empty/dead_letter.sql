-- Dead runs without a letter, and letters of runs that are not dead.
SELECT 'dead_letters: ' || coalesce(d.run_id, r.id),
       CASE WHEN d.run_id IS NULL THEN 'the run is dead and has no letter'
            ELSE 'there is a letter, and the run is ' || coalesce(r.phase::text, 'gone') END
FROM (SELECT id, phase FROM kronos.runs WHERE phase = 'dead') dead
FULL JOIN kronos.dead_letters d ON d.run_id = dead.id
LEFT JOIN kronos.runs r ON r.id = coalesce(dead.id, d.run_id)
WHERE d.run_id IS NULL OR dead.id IS NULL
ORDER BY 1
