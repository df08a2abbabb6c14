-- Flushes of incarnations that never were.
SELECT 'flushes: incarnation ' || f.incarnation || ' number ' || f.number, 'there is no such incarnation'
FROM kronos.flushes f
WHERE NOT EXISTS (SELECT FROM kronos.incarnations i WHERE i.id = f.incarnation)
ORDER BY f.incarnation, f.number
