-- Kronos, schema version 1: a tour.
--
-- A run is a fold over its events.  `runs` says which runs there are and who may advance them; `events` says what
-- happened, append-only, in partitions; `run_inbox` is how everybody but the owner talks to a run.  One process
-- life is an *incarnation*: it owns runs, holds a lease through its heartbeat, and every transaction it writes in
-- is fenced by an advisory lock on its number.  Large values are blobs, named by their SHA-256.

CREATE SCHEMA kronos;

-- ─── Time and identity ──────────────────────────────────────────────────────────────────────────────────────────

-- The one clock of leases, timers and ids.  Tests steer it: SET kronos.now = '2026-01-01 00:00+00'.
CREATE FUNCTION kronos.now() RETURNS timestamptz LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
    SELECT coalesce(nullif(current_setting('kronos.now', true), '')::timestamptz, clock_timestamp())
$$;

-- 32 hex digits; reproducible where the setting kronos.seed is given, strong otherwise.
CREATE FUNCTION kronos.random_hex() RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    seed text := nullif(current_setting('kronos.seed', true), '');
BEGIN
    IF seed IS NULL THEN
        RETURN replace(gen_random_uuid()::text, '-', '') ;
    END IF;
    seed := md5(seed);
    PERFORM set_config('kronos.seed', seed, false);
    RETURN md5('value' || seed);
END
$$;

-- The smallest UUIDv7 of an instant: bounds of partitions are of this form.
CREATE FUNCTION kronos.uuid7_floor(at timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7000' || '8000000000000000')::uuid
$$;

-- RFC 9562 version 7: 48 bits of milliseconds, 12 bits of their fraction, 62 random bits.
CREATE FUNCTION kronos.uuid7() RETURNS uuid LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    us     bigint := (extract(epoch FROM kronos.now()) * 1000000)::bigint;
    random text   := kronos.random_hex();
BEGIN
    -- gen_random_uuid fixes digits 13 and 17, so random digits are taken from around them
    RETURN (lpad(to_hex(us / 1000), 12, '0')
        || '7' || lpad(to_hex((us % 1000) * 4096 / 1000), 3, '0')
        || substr('89ab', 1 + (get_byte(decode(substr(random, 1, 2), 'hex'), 0) & 3), 1)
        || substr(random, 18, 15))::uuid;
END
$$;

-- ─── Who writes ─────────────────────────────────────────────────────────────────────────────────────────────────

CREATE TABLE kronos.incarnations (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text        NOT NULL,
    host       text        NOT NULL,
    pid        integer     NOT NULL,
    lease_ms   integer     NOT NULL CHECK (lease_ms > 0),
    started_at timestamptz NOT NULL DEFAULT kronos.now(),
    dead_at    timestamptz,
    dead_why   text
);
CREATE INDEX incarnations_alive ON kronos.incarnations (id) WHERE dead_at IS NULL;

-- In a table of their own: share-locking a row that is updated all the time makes MultiXacts by the thousand.
CREATE TABLE kronos.heartbeats (
    incarnation bigint PRIMARY KEY REFERENCES kronos.incarnations ON DELETE CASCADE,
    at          timestamptz NOT NULL
) WITH (fillfactor = 50);

-- The backends of an incarnation, so that the reaper can end one that is stuck inside a COPY.
CREATE TABLE kronos.incarnation_backends (
    incarnation   bigint      NOT NULL REFERENCES kronos.incarnations ON DELETE CASCADE,
    pid           integer     NOT NULL,
    backend_start timestamptz NOT NULL,
    PRIMARY KEY (incarnation, pid, backend_start)
);

-- One row a flush: after a COMMIT whose answer was lost, this row alone says whether it happened.
CREATE TABLE kronos.flushes (
    incarnation bigint NOT NULL,
    number      bigint NOT NULL,
    PRIMARY KEY (incarnation, number)
);

-- ─── Content ────────────────────────────────────────────────────────────────────────────────────────────────────

CREATE TABLE kronos.blobs (
    hash    bytea       PRIMARY KEY CHECK (octet_length(hash) = 32),
    size    bigint      NOT NULL CHECK (size >= 0),
    data    bytea       NOT NULL,
    touched timestamptz NOT NULL DEFAULT kronos.now()
);
ALTER TABLE kronos.blobs ALTER COLUMN data SET STORAGE EXTERNAL; -- it is zstd already

-- What keeps a blob: kind says what refers ("run", "definition", "dataset", "journal", "checkpoint").
CREATE TABLE kronos.blob_refs (
    blob  bytea NOT NULL,
    kind  text  NOT NULL,
    owner text  NOT NULL,
    PRIMARY KEY (blob, kind, owner)
);
CREATE INDEX blob_refs_owner ON kronos.blob_refs (kind, owner);

CREATE TABLE kronos.datasets (
    id         text        NOT NULL CHECK (id ~ '^[0-9a-f]{64}$'),
    name       text        NOT NULL CHECK (name <> ''),
    kind       text        NOT NULL,
    instrument text        NOT NULL,
    rows       bigint      NOT NULL CHECK (rows > 0),
    start_ns   bigint      NOT NULL,
    end_ns     bigint      NOT NULL CHECK (end_ns >= start_ns),
    manifest   bytea       NOT NULL,
    created_at timestamptz NOT NULL DEFAULT kronos.now(),
    PRIMARY KEY (id, name)
);
CREATE INDEX datasets_name ON kronos.datasets (name, created_at);

-- A workflow as registered; the id hashes name, version, graph and the code of every step.
CREATE TABLE kronos.definitions (
    id           text        PRIMARY KEY CHECK (id ~ '^[0-9a-f]{64}$'),
    workflow     text        NOT NULL,
    version      text        NOT NULL,
    graph        bytea       NOT NULL,
    input_schema bytea       NOT NULL,
    codes        bytea       NOT NULL,
    sources      bytea       NOT NULL,
    environment  bytea       NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT kronos.now()
);
CREATE INDEX definitions_workflow ON kronos.definitions (workflow, created_at);

-- ─── Runs ───────────────────────────────────────────────────────────────────────────────────────────────────────

CREATE TYPE kronos.phase AS ENUM ('pending', 'running', 'waiting', 'completed', 'failed', 'cancelled', 'dead');

CREATE TYPE kronos.event_kind AS ENUM (
    'run_started', 'run_completed', 'run_failed', 'run_cancelled', 'run_forked',
    'step_scheduled', 'step_started', 'step_input_recorded', 'step_output_recorded',
    'step_completed', 'step_failed', 'step_retried'
);

CREATE TABLE kronos.retention_classes (
    id   smallint PRIMARY KEY,
    name text     NOT NULL UNIQUE CHECK (name ~ '^[a-z][a-z0-9_]*$')
);
INSERT INTO kronos.retention_classes VALUES (1, 'standard');

CREATE TABLE kronos.runs (
    id              uuid          PRIMARY KEY DEFAULT kronos.uuid7(),
    retention_class smallint      NOT NULL DEFAULT 1 REFERENCES kronos.retention_classes,
    definition      text          NOT NULL REFERENCES kronos.definitions,
    workflow        text          NOT NULL,
    version         text          NOT NULL,
    phase           kronos.phase  NOT NULL DEFAULT 'pending',
    input           bytea         NOT NULL,
    output          bytea,
    failure         bytea,
    failed_step     text,
    created_at      timestamptz   NOT NULL DEFAULT kronos.now(),
    started_at      timestamptz,
    finished_at     timestamptz,
    timeout_ms      bigint        CHECK (timeout_ms > 0),
    -- claiming: microseconds of the enqueue, fixed at insert; not before wake_at
    rank            bigint        NOT NULL DEFAULT (extract(epoch FROM kronos.now()) * 1000000)::bigint,
    wake_at         timestamptz,
    owner           bigint,
    claims          integer       NOT NULL DEFAULT 0,
    lost_owner      bigint,
    -- takeovers since the last progress, which is the last outcome of a step
    takeovers       smallint      NOT NULL DEFAULT 0,
    takeover_seq    integer       NOT NULL DEFAULT 0,
    -- every inbox insert counts up inbox_n; a run completes only when it has seen them all
    inbox_n         integer       NOT NULL DEFAULT 0,
    inbox_seen      integer       NOT NULL DEFAULT 0,
    head_seq        integer       NOT NULL DEFAULT 0,
    head_hash       bytea,
    parent_run      uuid          REFERENCES kronos.runs,
    parent_seq      integer,
    CHECK ((phase IN ('completed', 'failed', 'cancelled', 'dead')) = (finished_at IS NOT NULL)),
    CHECK (owner IS NULL OR finished_at IS NULL)
) WITH (fillfactor = 70);
CREATE INDEX runs_claimable ON kronos.runs (rank) WHERE owner IS NULL AND finished_at IS NULL;
CREATE INDEX runs_owned ON kronos.runs (owner) WHERE owner IS NOT NULL;
CREATE INDEX runs_by_phase ON kronos.runs (phase, id);
CREATE INDEX runs_by_workflow ON kronos.runs (workflow, id);

-- What others want of a run; the owner turns it into events, at most 250 ms late.
CREATE TABLE kronos.run_inbox (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id     uuid        NOT NULL REFERENCES kronos.runs,
    command_id uuid        NOT NULL UNIQUE,
    kind       text        NOT NULL CHECK (kind IN ('cancel')),
    body       bytea       NOT NULL,
    created_at timestamptz NOT NULL DEFAULT kronos.now()
);
CREATE INDEX run_inbox_run ON kronos.run_inbox (run_id, id);

CREATE TABLE kronos.dead_letters (
    run_id  uuid        PRIMARY KEY REFERENCES kronos.runs,
    step    text,
    attempt smallint    NOT NULL,
    failure bytea       NOT NULL,
    at      timestamptz NOT NULL DEFAULT kronos.now()
);

-- ─── The log ────────────────────────────────────────────────────────────────────────────────────────────────────

-- One row stands for the last `count` of the facts that lead up to `kind`; `seq` numbers the last of them.
-- `body` is canonical JSON as bytes, not jsonb: jsonb refuses some values and rewrites numbers, and `hash` covers
-- these very bytes.  hash = chain(hash of the row before, the other columns, body).
CREATE TABLE kronos.events (
    retention_class smallint          NOT NULL,
    run_id          uuid              NOT NULL,
    seq             integer           NOT NULL CHECK (seq > 0),
    count           smallint          NOT NULL CHECK (count BETWEEN 1 AND 5),
    kind            kronos.event_kind NOT NULL,
    step            text              NOT NULL,
    attempt         smallint          NOT NULL,
    at_ns           bigint            NOT NULL,
    body            bytea             NOT NULL,
    hash            bytea             NOT NULL,
    PRIMARY KEY (retention_class, run_id, seq)
) PARTITION BY LIST (retention_class);

CREATE VIEW kronos.event_log AS
    SELECT run_id, seq, count, kind, nullif(step, '') AS step, attempt,
           to_timestamp(at_ns / 1e9) AS at, convert_from(body, 'UTF8')::json AS body, encode(hash, 'hex') AS hash
    FROM kronos.events;

CREATE FUNCTION kronos.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'kronos.% is append-only: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation',
              HINT = 'Retention detaches whole partitions; nothing else removes an event.';
END
$$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON kronos.events
    FOR EACH ROW EXECUTE FUNCTION kronos.refuse_change();
ALTER TABLE kronos.events ENABLE ALWAYS TRIGGER append_only;
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON kronos.events
    FOR EACH STATEMENT EXECUTE FUNCTION kronos.refuse_change();
ALTER TABLE kronos.events ENABLE ALWAYS TRIGGER append_only_truncate;

-- Guard one table of the tree: statement triggers are not cloned to partitions, and ALWAYS is not inherited on
-- every version.
CREATE FUNCTION kronos.guard_partition(part regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON %s
                    FOR EACH STATEMENT EXECUTE FUNCTION kronos.refuse_change()', part);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER append_only_truncate', part);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER append_only', part);
END
$$;

-- Make the weekly partitions from last week to `ahead` weeks from now, for every class; return how many were new.
-- CREATE LIKE and ATTACH, under a lock of its own: any worker may call it at any time.
CREATE FUNCTION kronos.ensure_partitions(ahead integer DEFAULT 4) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    class record;
    week  timestamptz;
    sub   text;
    leaf  text;
    made  integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('kronos.ensure_partitions'));
    FOR class IN SELECT * FROM kronos.retention_classes ORDER BY id LOOP
        sub := 'events_' || class.name;
        IF to_regclass('kronos.' || quote_ident(sub)) IS NULL THEN
            EXECUTE format('CREATE TABLE kronos.%I PARTITION OF kronos.events FOR VALUES IN (%s)
                            PARTITION BY RANGE (run_id)', sub, class.id);
            PERFORM kronos.guard_partition(format('kronos.%I', sub)::regclass);
        END IF;
        FOR i IN -1 .. ahead LOOP
            week := date_trunc('week', kronos.now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' + i * interval '7 days';
            leaf := sub || '_' || to_char(week AT TIME ZONE 'UTC', 'YYYYMMDD');
            CONTINUE WHEN to_regclass('kronos.' || quote_ident(leaf)) IS NOT NULL;
            EXECUTE format('CREATE TABLE kronos.%I (LIKE kronos.events INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', leaf);
            EXECUTE format('ALTER TABLE kronos.%I ATTACH PARTITION kronos.%I FOR VALUES FROM (%L) TO (%L)',
                           sub, leaf, kronos.uuid7_floor(week), kronos.uuid7_floor(week + interval '7 days'));
            PERFORM kronos.guard_partition(format('kronos.%I', leaf)::regclass);
            made := made + 1;
        END LOOP;
    END LOOP;
    RETURN made;
END
$$;

-- ─── Recordings of trading steps ────────────────────────────────────────────────────────────────────────────────

CREATE TABLE kronos.journal_segments (
    run_id     uuid     NOT NULL,
    step       text     NOT NULL,
    attempt    smallint NOT NULL,
    number     integer  NOT NULL,
    first_row  bigint   NOT NULL,
    last_row   bigint   NOT NULL CHECK (last_row >= first_row),
    core_chain bytea    NOT NULL,
    user_chain bytea    NOT NULL,
    blob       bytea    NOT NULL,
    PRIMARY KEY (run_id, step, attempt, number)
);

CREATE TABLE kronos.checkpoints (
    run_id  uuid     NOT NULL,
    step    text     NOT NULL,
    attempt smallint NOT NULL,
    row     bigint   NOT NULL,
    blob    bytea    NOT NULL,
    PRIMARY KEY (run_id, step, attempt, row)
);

-- ─── Rights ─────────────────────────────────────────────────────────────────────────────────────────────────────

-- Which code may work on this schema: code older than min_code is refused.
CREATE TABLE kronos.schema_version (
    version  integer NOT NULL,
    min_code integer NOT NULL
);
INSERT INTO kronos.schema_version VALUES (1, 1);

-- Work connections SET ROLE kronos_runtime, which cannot change history.  Where this login may not create roles,
-- the triggers alone hold.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'kronos_runtime') THEN
        BEGIN
            CREATE ROLE kronos_runtime NOLOGIN;
        EXCEPTION -- roles belong to the whole server: another database is being migrated this very moment
            WHEN duplicate_object OR unique_violation THEN NULL;
        END;
    END IF;
    IF NOT pg_has_role(current_user, 'kronos_runtime', 'MEMBER') THEN
        EXECUTE format('GRANT kronos_runtime TO %I', current_user);
    END IF;
    GRANT USAGE ON SCHEMA kronos TO kronos_runtime;
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA kronos TO kronos_runtime;
    GRANT USAGE ON ALL SEQUENCES IN SCHEMA kronos TO kronos_runtime;
    REVOKE UPDATE, DELETE, TRUNCATE ON kronos.events, kronos.journal_segments FROM kronos_runtime;
    REVOKE INSERT, UPDATE, DELETE ON kronos.schema_version, kronos.retention_classes FROM kronos_runtime;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE NOTICE 'the role kronos_runtime was not set up: %', SQLERRM;
END
$$;

-- Made last, so that the grants above reach no partition: the runtime role works through kronos.events alone.
SELECT kronos.ensure_partitions();
