-- Give back runs that only wait, but only where no inbox row is unseen: an unseen one may be what they wait for.
-- Where their histories stand is noted either way.  Returns those that stay with their owner.
UPDATE kronos.runs r
SET head_seq = d.seq, head_hash = d.hash, inbox_seen = d.seen,
    phase = CASE WHEN r.inbox_n = d.seen THEN 'waiting' ELSE r.phase END,
    wake_at = CASE WHEN r.inbox_n = d.seen THEN coalesce(to_timestamp(d.wake_ns / 1e9), 'infinity') END,
    owner = CASE WHEN r.inbox_n > d.seen THEN r.owner END
FROM unnest(%(runs)s::uuid[], %(seqs)s::integer[], %(hashes)s::bytea[], %(seens)s::integer[], %(wakes)s::bigint[])
     AS d (id, seq, hash, seen, wake_ns)
WHERE r.id = d.id AND r.owner = %(incarnation)s
RETURNING r.id, r.owner IS NOT NULL AS kept
