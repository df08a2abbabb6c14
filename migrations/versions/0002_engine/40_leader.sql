-- The leader, schedules, and database steps.

-- ─── Nodes and their leader ─────────────────────────────────────────────────────────────────────────────────────

-- One row a worker or server process that is up: who may lead, and who serves what.
CREATE TABLE kronos.nodes (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind        text        NOT NULL CHECK (kind IN ('worker', 'server')),
    name        text        NOT NULL,
    host        text        NOT NULL,
    pid         integer     NOT NULL,
    lease_ms    integer     NOT NULL CHECK (lease_ms > 0),
    incarnation bigint,
    definitions text[]      NOT NULL DEFAULT '{}',
    started_at  timestamptz NOT NULL DEFAULT kronos.now(),
    seen_at     timestamptz NOT NULL DEFAULT kronos.now()
) WITH (fillfactor = 50);
SELECT kronos.grant_runtime('kronos.nodes');

-- One row: the truth about who leads.  Every transaction of a leader key-shares it; a takeover counts up `epoch`, which
-- is a key, and so waits for them, while a renewal does not.
CREATE TABLE kronos.leader (
    epoch bigint      NOT NULL UNIQUE,
    node  bigint,
    until timestamptz NOT NULL
) WITH (fillfactor = 50);
CREATE UNIQUE INDEX leader_is_one ON kronos.leader ((true));
INSERT INTO kronos.leader VALUES (0, NULL, '-infinity');
SELECT kronos.grant_runtime('kronos.leader', 'SELECT, UPDATE');

-- ─── Schedules ──────────────────────────────────────────────────────────────────────────────────────────────────

CREATE TABLE kronos.schedules (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text        NOT NULL UNIQUE CHECK (name <> ''),
    cron       text        NOT NULL,
    zone       text        NOT NULL,
    workflow   text        NOT NULL,
    version    text,
    input      bytea       NOT NULL,
    catch_up   text        NOT NULL CHECK (catch_up IN ('latest', 'all', 'none')),
    overlap    text        NOT NULL CHECK (overlap IN ('allow', 'skip', 'cancel_previous')),
    jitter_ms  bigint      NOT NULL CHECK (jitter_ms >= 0),
    timeout_ms bigint      CHECK (timeout_ms > 0),
    created_at timestamptz NOT NULL DEFAULT kronos.now(),
    paused_at  timestamptz,
    next_at    timestamptz
);
CREATE INDEX schedules_due ON kronos.schedules (next_at) WHERE paused_at IS NULL;
SELECT kronos.grant_runtime('kronos.schedules');

-- One row a slot that was decided on: its run, or why there is none.  The key is what makes one run of one slot.
CREATE TABLE kronos.schedule_firings (
    schedule_id  bigint      NOT NULL REFERENCES kronos.schedules ON DELETE CASCADE,
    nominal_time timestamptz NOT NULL,
    outcome      text        NOT NULL CHECK (outcome IN ('started', 'triggered', 'skipped', 'refused')),
    run_id       uuid,
    detail       text,
    missed       integer     NOT NULL DEFAULT 0,
    fired_at     timestamptz NOT NULL DEFAULT kronos.now(),
    epoch        bigint,
    -- whether its run may still be open: kept so that looking for overlaps costs no more the older a schedule is
    open         boolean     NOT NULL,
    UNIQUE (schedule_id, nominal_time),
    CHECK ((outcome IN ('started', 'triggered')) = (run_id IS NOT NULL))
);
CREATE INDEX schedule_firings_open ON kronos.schedule_firings (schedule_id) WHERE open;
SELECT kronos.grant_runtime('kronos.schedule_firings');
