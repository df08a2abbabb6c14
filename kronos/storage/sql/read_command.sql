-- The body of a command that its run has not taken yet.
SELECT body FROM kronos.run_inbox WHERE command_id = %(command)s
