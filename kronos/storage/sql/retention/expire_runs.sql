-- Say that the history of these runs goes: they are forked no more.
UPDATE kronos.runs SET expired_at = kronos.now() WHERE id = ANY(%(runs)s::uuid[])
