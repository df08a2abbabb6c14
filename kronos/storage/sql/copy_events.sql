-- Append encoded rows.
COPY kronos.events (retention_class, run_id, seq, count, kind, step, attempt, at_ns, body, hash) FROM STDIN (FORMAT BINARY)
