-- Control flow: maps, branches, loops, children, compensation.

-- Runs that start runs.  A child says which attempt of which step started it, a successor whose place it took, and a
-- run that was continued which run that is.  (parent_run is the kinship of forks.)
ALTER TABLE kronos.runs
    ADD COLUMN child_of      uuid REFERENCES kronos.runs,
    ADD COLUMN child_step    text,
    ADD COLUMN child_attempt smallint,
    ADD COLUMN continues     uuid REFERENCES kronos.runs,
    ADD COLUMN continued_by  uuid,
    ADD CHECK ((child_of IS NULL) = (child_step IS NULL) AND (child_of IS NULL) = (child_attempt IS NULL));
CREATE INDEX runs_by_child_of ON kronos.runs (child_of) WHERE child_of IS NOT NULL;
CREATE UNIQUE INDEX runs_continues ON kronos.runs (continues) WHERE continues IS NOT NULL;
