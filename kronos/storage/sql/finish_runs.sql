-- Close runs, but only where no inbox row is unseen: an unseen one may be a cancel.  Returns those that closed.
UPDATE kronos.runs r
SET phase = d.phase::kronos.phase, output = d.output, failure = d.failure, failed_step = d.step,
    finished_at = to_timestamp(d.at_ns / 1e9), head_seq = d.seq, head_hash = d.hash, inbox_seen = d.seen, owner = NULL,
    spent = d.spent
FROM unnest(%(runs)s::uuid[], %(phases)s::text[], %(outputs)s::bytea[], %(failures)s::bytea[], %(steps)s::text[],
            %(ats)s::bigint[], %(seqs)s::integer[], %(hashes)s::bytea[], %(seens)s::integer[],
            %(spents)s::bytea[])
     AS d (id, phase, output, failure, step, at_ns, seq, hash, seen, spent)
WHERE r.id = d.id AND r.owner = %(incarnation)s AND r.inbox_n = d.seen
RETURNING r.id
