-- What a fork shares with the runs that it stands on, in order; each row with where its part ends and the head there.
SELECT e.run_id, e.seq, e.count, e.kind::text, e.step, e.attempt, e.at_ns, e.body, e.hash, a.upto_seq, a.upto_hash
FROM kronos.run_ancestry a
JOIN kronos.runs r ON r.id = a.ancestor
JOIN kronos.events e ON e.retention_class = r.retention_class AND e.run_id = a.ancestor
 AND e.seq > a.after_seq AND e.seq - e.count < a.upto_seq
WHERE a.run_id = %(run)s
ORDER BY a.place, e.seq
