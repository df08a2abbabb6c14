-- Say that a process leaves in order.
DELETE FROM kronos.nodes WHERE id = %(node)s
