-- Give back what this incarnation owns without knowing: the answer to its claim was lost.
UPDATE kronos.runs SET owner = NULL, wake_at = kronos.now()
WHERE owner = %(incarnation)s AND id <> ALL(%(kept)s::uuid[])
