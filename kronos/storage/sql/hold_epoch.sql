-- First in every transaction of a leader: one row while its epoch is the present one, which no other can take meanwhile.
SELECT 1 FROM kronos.leader WHERE epoch = %(epoch)s AND node = %(node)s FOR KEY SHARE
