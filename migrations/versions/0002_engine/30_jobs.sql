-- Jobs and queues.
--
-- A job is one call of one function, with a row and no history of events.  `rank` decides the order within a lane (a
-- queue and a key): it is fixed when the job becomes due, so it can be indexed, and whoever waits long enough comes
-- first.  A job is fenced by (id, worker, attempt): only the worker that holds it may end it.

CREATE TYPE kronos.job_state AS ENUM (
    'pending', 'running', 'completed', 'cancelled', 'expired', 'dead', 'discarded'
);

-- One step of priority is worth a minute of waiting; 10 is the highest.
CREATE FUNCTION kronos.job_rank(due timestamptz, priority smallint) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT (extract(epoch FROM due) * 1000000)::bigint + (10 - priority) * 60000000
$$;

CREATE TABLE kronos.jobs (
    id              uuid             PRIMARY KEY DEFAULT kronos.uuid7(),
    queue           text             NOT NULL CHECK (queue ~ '^[a-z0-9][a-z0-9_.-]{0,62}$'),
    key             text             NOT NULL DEFAULT '',
    target          text             NOT NULL,
    input           bytea            NOT NULL,
    priority        smallint         NOT NULL CHECK (priority BETWEEN 1 AND 10),
    rank            bigint           NOT NULL,
    state           kronos.job_state NOT NULL DEFAULT 'pending',
    -- a deadline concerns the start: what is not claimed by then expires
    due_at          timestamptz      NOT NULL,
    delayed         boolean          NOT NULL DEFAULT false,
    deadline_at     timestamptz,
    created_at      timestamptz      NOT NULL DEFAULT kronos.now(),
    attempt         smallint         NOT NULL DEFAULT 0,
    failures        smallint         NOT NULL DEFAULT 0,
    losses          smallint         NOT NULL DEFAULT 0,
    worker          bigint,
    cancel_reason   text,
    output          bytea,
    failure         bytea,
    started_at      timestamptz,
    finished_at     timestamptz,
    keep_ms         bigint           NOT NULL CHECK (keep_ms > 0),
    expires_at      timestamptz,
    idempotency_key text,
    discard_reason  text,
    -- steps of a run that go to other workers: `input` lists them, `target` is the run's definition
    run_id          uuid,
    CHECK ((state = 'running') = (worker IS NOT NULL)),
    CHECK ((state IN ('pending', 'running')) = (finished_at IS NULL))
) WITH (fillfactor = 80);
CREATE INDEX jobs_claimable ON kronos.jobs (queue, key, rank) WHERE state = 'pending';
CREATE INDEX jobs_running ON kronos.jobs (queue, key) WHERE state = 'running';
CREATE INDEX jobs_delayed ON kronos.jobs (due_at) WHERE state = 'pending' AND delayed;
CREATE INDEX jobs_deadline ON kronos.jobs (deadline_at) WHERE state = 'pending' AND deadline_at IS NOT NULL;
CREATE INDEX jobs_kept ON kronos.jobs USING brin (expires_at) WITH (pages_per_range = 16, autosummarize = on);
CREATE INDEX jobs_dead ON kronos.jobs (id) WHERE state = 'dead';
CREATE INDEX jobs_run ON kronos.jobs (run_id) WHERE run_id IS NOT NULL;
CREATE UNIQUE INDEX jobs_idempotency ON kronos.jobs (idempotency_key) WHERE idempotency_key IS NOT NULL;

-- Attempts that failed; the last one's failure also stands in the job.  One that succeeded is the job's own row.
CREATE TABLE kronos.job_failures (
    job_id      uuid        NOT NULL REFERENCES kronos.jobs ON DELETE CASCADE,
    attempt     smallint    NOT NULL,
    worker      bigint      NOT NULL,
    started_at  timestamptz NOT NULL,
    finished_at timestamptz NOT NULL,
    failure     bytea       NOT NULL,
    PRIMARY KEY (job_id, attempt)
);

-- What was said about a queue; one without a row is open and has no limits.
CREATE TABLE kronos.queues (
    name            text PRIMARY KEY CHECK (name ~ '^[a-z0-9][a-z0-9_.-]{0,62}$'),
    concurrency     integer CHECK (concurrency > 0),
    key_concurrency integer CHECK (key_concurrency > 0),
    rate            integer CHECK (rate > 0),
    rate_ms         bigint  CHECK (rate_ms > 0),
    paused_at       timestamptz,
    paused_by       text,
    CHECK ((rate IS NULL) = (rate_ms IS NULL))
);

-- Starts in a queue with a rate limit: one row a claim, forgotten when it no longer counts.
CREATE TABLE kronos.queue_starts (
    queue text        NOT NULL,
    at    timestamptz NOT NULL,
    count integer     NOT NULL
);
CREATE INDEX queue_starts_at ON kronos.queue_starts (queue, at);

-- What can be submitted by name: a step that some worker serves, and the schema of its arguments.
CREATE TABLE kronos.job_targets (
    target    text        PRIMARY KEY,
    arguments bytea       NOT NULL,
    seen_at   timestamptz NOT NULL DEFAULT kronos.now()
);

-- What became of a run's dead letter.
ALTER TABLE kronos.dead_letters
    ADD COLUMN resolved_at timestamptz,
    ADD COLUMN resolution  text CHECK (resolution IN ('requeued', 'discarded')),
    ADD COLUMN reason      text,
    ADD COLUMN requeued_as uuid REFERENCES kronos.runs,
    ADD CHECK ((resolved_at IS NULL) = (resolution IS NULL));

SELECT kronos.grant_runtime('kronos.jobs'), kronos.grant_runtime('kronos.job_failures'),
       kronos.grant_runtime('kronos.queues'), kronos.grant_runtime('kronos.queue_starts'),
       kronos.grant_runtime('kronos.job_targets');
