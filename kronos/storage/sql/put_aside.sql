-- Give back a run whose history its owner cannot read, for another try after `for_s`: it stays `running`, owned by nobody.
UPDATE kronos.runs SET owner = NULL, wake_at = kronos.now() + %(for_s)s * interval '1 second'
WHERE id = %(run)s AND owner = %(incarnation)s
