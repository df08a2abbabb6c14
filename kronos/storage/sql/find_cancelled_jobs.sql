-- Jobs of this incarnation whose end somebody asked for.
SELECT id::text FROM kronos.jobs WHERE state = 'running' AND worker = %(incarnation)s AND cancel_reason IS NOT NULL
