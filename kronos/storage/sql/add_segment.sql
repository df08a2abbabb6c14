-- Seal a journal segment: a second one of its number is refused.
INSERT INTO kronos.journal_segments (run_id, step, attempt, number, first_row, last_row, core_chain, user_chain, blob)
VALUES (%(run)s, %(step)s, %(attempt)s, %(number)s, %(first_row)s, %(last_row)s, %(core_chain)s, %(user_chain)s, %(blob)s)
