-- Stop leading in order: another may begin at once.
UPDATE kronos.leader SET node = NULL, until = '-infinity' WHERE epoch = %(epoch)s AND node = %(node)s
