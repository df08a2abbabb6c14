-- Proofs that nobody can ask for any more: this incarnation's acknowledged ones, and those of the long dead.
DELETE FROM kronos.flushes f
WHERE (f.incarnation = %(incarnation)s AND f.number BETWEEN 1 AND %(acknowledged)s)
   OR EXISTS (SELECT FROM kronos.incarnations i WHERE i.id = f.incarnation AND i.dead_at < kronos.now() - interval '1 hour')
