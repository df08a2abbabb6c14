-- What is held back, newest first.
SELECT name, instrument, file, sha256, message, report, (extract(epoch FROM at) * 1e9)::bigint AS at_ns
FROM kronos.quarantine
WHERE settled_at IS NULL
ORDER BY at DESC, id DESC
LIMIT 1000
