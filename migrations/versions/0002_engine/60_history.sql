-- Retention, sweeping, archives and what fsck reads.

-- How long a class keeps the history of a run after its end; NULL: for ever.  `hold` keeps the tables of detached
-- partitions until somebody has exported and dropped them.
ALTER TABLE kronos.retention_classes
    ADD COLUMN keep interval CHECK (keep > interval '0'),
    ADD COLUMN hold boolean NOT NULL DEFAULT false;

-- Set under FOR UPDATE when a run's history begins to go; forking takes a key-share lock on its parent and refuses one
-- where this is set.  The row stays, as the line that lists show.
ALTER TABLE kronos.runs ADD COLUMN expired_at timestamptz CHECK (expired_at IS NULL OR finished_at IS NOT NULL);

-- The prefix of an expired run that surviving forks need: its rows up to `seq`, in one blob.
CREATE TABLE kronos.archives (
    run_id uuid    PRIMARY KEY REFERENCES kronos.runs,
    seq    integer NOT NULL CHECK (seq > 0),
    blob   bytea   NOT NULL,
    made_at timestamptz NOT NULL DEFAULT kronos.now()
);
SELECT kronos.grant_runtime('kronos.archives', 'SELECT, INSERT');

-- One row a partition that goes: each step is noted when it is done, so that whoever comes next goes on.
CREATE TABLE kronos.retired_partitions (
    leaf            text        PRIMARY KEY,
    retention_class smallint    NOT NULL REFERENCES kronos.retention_classes,
    low             uuid        NOT NULL,
    high            uuid        NOT NULL,
    began_at        timestamptz NOT NULL DEFAULT kronos.now(),
    detached_at     timestamptz,
    forgotten_at    timestamptz,
    dropped_at      timestamptz
);
SELECT kronos.grant_runtime('kronos.retired_partitions', 'SELECT');

-- The class of a workflow's runs, where a start names none.
ALTER TABLE kronos.definitions ADD COLUMN retention text NOT NULL DEFAULT 'standard';

-- The class of a name; 0, which no run may have, where there is none.
CREATE FUNCTION kronos.class_named(wanted text) RETURNS smallint LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT id FROM kronos.retention_classes WHERE name = wanted), 0::smallint)
$$;

-- Runs that are open or ended badly are looked for by their phase; those that completed are nearly all, and are met by
-- their ids.  Without them the index stays small: the end of a run costs no third descent into a tree of every run.
DROP INDEX kronos.runs_by_phase;
CREATE INDEX runs_by_phase ON kronos.runs (phase, id) WHERE phase <> 'completed';
