-- Count takeovers before anything of the run is executed again: a step that kills its process must not retry for ever.
UPDATE kronos.runs r SET takeovers = d.takeovers, takeover_seq = d.seq, lost_owner = NULL
FROM unnest(%(runs)s::uuid[], %(takeovers)s::smallint[], %(seqs)s::integer[]) AS d (id, takeovers, seq)
WHERE r.id = d.id AND r.owner = %(incarnation)s
