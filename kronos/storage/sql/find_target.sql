-- The schema of a target's arguments.
SELECT arguments FROM kronos.job_targets WHERE target = %(target)s
