-- Forks and lineage.
--
-- A fork stores what it changes, and where its history branches off; nothing of the history before.  Its ancestry is
-- flat: a fork of a fork names every run whose events it shares, oldest first, so that reading never climbs a tree.
-- A row of run_ancestry keeps what it stands on: a run with a row here as `ancestor` is a root of its blobs and of its
-- events up to `upto_seq`, as long as the fork is on record.  The foreign key locks the ancestor (FOR KEY SHARE) in the
-- transaction that makes the fork.

-- What the fork does otherwise (core/forking.py), canonical JSON; NULL for a run that is no fork.
ALTER TABLE kronos.runs ADD COLUMN changes bytea;
CREATE INDEX runs_by_parent ON kronos.runs (parent_run, id) WHERE parent_run IS NOT NULL;

-- The parts of a fork's history that other runs recorded: of `ancestor` what lies after after_seq, up to upto_seq.
-- `upto_hash` is the head of the chain there; inside a row that stands for several facts, the head of its prefix.
CREATE TABLE kronos.run_ancestry (
    run_id    uuid     NOT NULL REFERENCES kronos.runs ON DELETE CASCADE,
    place     smallint NOT NULL CHECK (place >= 0),
    ancestor  uuid     NOT NULL REFERENCES kronos.runs,
    after_seq integer  NOT NULL CHECK (after_seq >= 0),
    upto_seq  integer  NOT NULL CHECK (upto_seq > after_seq),
    upto_hash bytea    NOT NULL CHECK (octet_length(upto_hash) = 32),
    PRIMARY KEY (run_id, place)
);
CREATE INDEX run_ancestry_ancestor ON kronos.run_ancestry (ancestor);
SELECT kronos.grant_runtime('kronos.run_ancestry');
