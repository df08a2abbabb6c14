-- Keep head and seq of long or released runs, so that a truncated tail is found.
UPDATE kronos.runs r SET head_seq = d.seq, head_hash = d.hash, inbox_seen = d.seen
FROM unnest(%(runs)s::uuid[], %(seqs)s::integer[], %(hashes)s::bytea[], %(seens)s::integer[]) AS d (id, seq, hash, seen)
WHERE r.id = d.id AND r.owner = %(incarnation)s
