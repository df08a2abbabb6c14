-- Where a run stands: all that a waiter asks again and again.
SELECT phase::text FROM kronos.runs WHERE id = %(run)s
