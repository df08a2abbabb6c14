-- Give back runs in order, for another worker to go on with at once.  Returns those whose inbox was seen in full;
-- the others are given back too, their inbox rows wait for the next owner.
UPDATE kronos.runs SET owner = NULL WHERE id = ANY(%(runs)s::uuid[]) AND owner = %(incarnation)s
