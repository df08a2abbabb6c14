-- The proof of this flush: after a lost answer to COMMIT it says whether the transaction happened.
INSERT INTO kronos.flushes (incarnation, number) VALUES (%(incarnation)s, %(number)s)
