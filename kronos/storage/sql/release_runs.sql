-- Give back runs in order, for another worker to go on with at once (due at once: see release_lost).  Returns those
-- whose inbox was seen in full; the others are given back too, their inbox rows wait for the next owner.
UPDATE kronos.runs SET owner = NULL, wake_at = kronos.now()
WHERE id = ANY(%(runs)s::uuid[]) AND owner = %(incarnation)s
