-- Whose partition a table is, and whether its detaching was begun.
SELECT p.relname, i.inhdetachpending
FROM pg_class k JOIN pg_inherits i ON i.inhrelid = k.oid JOIN pg_class p ON p.oid = i.inhparent
WHERE k.relnamespace = 'kronos'::regnamespace AND k.relname = %(leaf)s
