-- Market data that the gate holds back, with its whole report; it is never part of a dataset until it is brought again.
CREATE TABLE kronos.quarantine (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text        NOT NULL,
    instrument text        NOT NULL,
    file       text        NOT NULL,
    sha256     text        NOT NULL,
    message    text        NOT NULL,
    report     bytea       NOT NULL,
    at         timestamptz NOT NULL DEFAULT kronos.now(),
    -- when the same file became a dataset after all
    settled_at timestamptz
);
CREATE INDEX quarantine_open ON kronos.quarantine (sha256) WHERE settled_at IS NULL;
SELECT kronos.grant_runtime('kronos.quarantine');
