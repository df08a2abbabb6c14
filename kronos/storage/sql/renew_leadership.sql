-- Go on leading; no row comes back when another leads.
UPDATE kronos.leader SET until = kronos.now() + make_interval(secs => %(lease_s)s)
WHERE epoch = %(epoch)s AND node = %(node)s
RETURNING pg_backend_pid()
