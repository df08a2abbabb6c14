-- Who owns a run, and how often it was claimed.
SELECT owner, claims FROM kronos.runs WHERE id = %(run)s
