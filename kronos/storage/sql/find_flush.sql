-- Whether a flush was committed.
SELECT 1 FROM kronos.flushes WHERE incarnation = %(incarnation)s AND number = %(number)s
