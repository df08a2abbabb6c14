-- Fire one slot once: its run and its firing, or neither.
WITH fired AS (
    INSERT INTO kronos.schedule_firings (schedule_id, nominal_time, outcome, run_id, missed, epoch, open)
    VALUES (%(schedule)s, %(slot)s, %(outcome)s, kronos.uuid7(), %(missed)s, %(epoch)s, true)
    ON CONFLICT (schedule_id, nominal_time) DO NOTHING
    RETURNING run_id
)
INSERT INTO kronos.runs (id, retention_class, definition, workflow, version, input, timeout_ms, wake_at)
SELECT f.run_id, kronos.class_named(d.retention), d.id, d.workflow, d.version, %(input)s, %(timeout_ms)s, %(wake_at)s
FROM fired f, kronos.definitions d
WHERE d.id = %(definition)s
RETURNING id
