-- What the other files of this migration stand on.

-- Code of version 1 would take a signal out of an inbox and forget it: it may not work here any more.
UPDATE kronos.schema_version SET version = 2, min_code = 2;

-- Give the runtime role its rights on a new table; where the role could not be made, triggers alone hold.
CREATE FUNCTION kronos.grant_runtime(part regclass, rights text DEFAULT 'SELECT, INSERT, UPDATE, DELETE')
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'kronos_runtime') THEN
        EXECUTE format('GRANT %s ON %s TO kronos_runtime', rights, part);
    END IF;
END
$$;

-- Facts that version 1 did not know.
ALTER TYPE kronos.event_kind ADD VALUE 'run_signalled';
ALTER TYPE kronos.event_kind ADD VALUE 'run_paused';
ALTER TYPE kronos.event_kind ADD VALUE 'run_resumed';
ALTER TYPE kronos.event_kind ADD VALUE 'run_adopted';
ALTER TYPE kronos.event_kind ADD VALUE 'run_attributed';
ALTER TYPE kronos.event_kind ADD VALUE 'run_continued';
ALTER TYPE kronos.event_kind ADD VALUE 'run_compensating';
ALTER TYPE kronos.event_kind ADD VALUE 'step_skipped';
ALTER TYPE kronos.event_kind ADD VALUE 'step_expanded';

-- Many more kinds of commands; an owner that does not know one leaves it in the inbox.
ALTER TABLE kronos.run_inbox DROP CONSTRAINT run_inbox_kind_check, ADD CHECK (kind ~ '^[a-z][a-z_]*$');
