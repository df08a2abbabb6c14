-- Messages to runs: signals, timers, approvals, pauses, costs, attributes.

-- A run that waits is nobody's, and asleep until `wake_at` ('infinity': until a message comes, which clears it).  It is
-- kept out of the index that claims scan: a hundred thousand sleepers cost a claim nothing.
DROP INDEX kronos.runs_claimable;
CREATE INDEX runs_claimable ON kronos.runs (rank) WHERE owner IS NULL AND finished_at IS NULL AND wake_at IS NULL;
CREATE INDEX runs_asleep ON kronos.runs (wake_at) WHERE owner IS NULL AND finished_at IS NULL AND wake_at IS NOT NULL;

-- What a run can be searched by, and what it had used up at its end (canonical JSON; none where nothing was reported).
ALTER TABLE kronos.runs ADD COLUMN attributes jsonb CHECK (jsonb_typeof(attributes) = 'object'), ADD COLUMN spent bytea;
CREATE INDEX runs_by_attribute ON kronos.runs USING gin (attributes jsonb_path_ops) WHERE attributes IS NOT NULL;

-- How far running attempts are: shown, not recorded, and lost with a crash of the server.
CREATE UNLOGGED TABLE kronos.step_progress (
    run_id   uuid        NOT NULL,
    step     text        NOT NULL,
    attempt  smallint    NOT NULL,
    at       timestamptz NOT NULL,
    progress bytea       NOT NULL,
    PRIMARY KEY (run_id, step)
);
SELECT kronos.grant_runtime('kronos.step_progress');
