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
