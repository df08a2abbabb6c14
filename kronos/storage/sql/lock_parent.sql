-- Keep the history of the run that is forked from going away until the fork is on record; say whether it has begun to.
SELECT expired_at IS NOT NULL FROM kronos.runs WHERE id = %(parent)s FOR KEY SHARE
