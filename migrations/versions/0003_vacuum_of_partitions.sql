-- Nothing is gained by a vacuum of events while they are inserted: none of them is ever dead.  It tells of the gap at
-- the end of each page, new rows go there, and the first on each page after a checkpoint carries the whole page.
UPDATE kronos.schema_version SET version = 3;

-- Keep insert-triggered autovacuum off the partitions that are written to; where the week is over, let it come and
-- freeze all rows, once.  Vacuum of dead rows and against wraparound, and ANALYZE, are as everywhere.  A threshold that
-- somebody has set by hand stays.  A table that somebody else works on (VACUUM) is left for the next time.
CREATE FUNCTION kronos.set_vacuum_of_partitions() RETURNS integer LANGUAGE plpgsql SET lock_timeout = '1s' AS $$
DECLARE
    leaf record;
    done integer := 0;
BEGIN
    FOR leaf IN
        SELECT t.relid::regclass AS name, w.is_over
        FROM pg_partition_tree('kronos.events') t JOIN pg_class k ON k.oid = t.relid
        CROSS JOIN LATERAL (SELECT to_date(substring(k.relname FROM '_([0-9]{8})$'), 'YYYYMMDD')::timestamp
                                   AT TIME ZONE 'UTC' + interval '7 days' <= kronos.now() AS is_over) w
        CROSS JOIN LATERAL (SELECT (SELECT option_value FROM pg_options_to_table(k.reloptions)
                                    WHERE option_name = 'autovacuum_vacuum_insert_threshold') AS threshold) o
        WHERE t.isleaf AND CASE WHEN w.is_over THEN o.threshold = '-1' ELSE o.threshold IS NULL END
        ORDER BY k.relname
    LOOP
        BEGIN
            IF leaf.is_over THEN
                EXECUTE format('ALTER TABLE %s SET (autovacuum_freeze_min_age = 0),
                                RESET (autovacuum_vacuum_insert_threshold)', leaf.name);
            ELSE
                EXECUTE format('ALTER TABLE %s SET (autovacuum_vacuum_insert_threshold = -1)', leaf.name);
            END IF;
            done := done + 1;
        EXCEPTION WHEN lock_not_available THEN
            NULL;
        END;
    END LOOP;
    RETURN done;
END
$$;

-- Make the weekly partitions from last week to `ahead` weeks from now, for every class, and see to the vacuum of all;
-- return how many were new.  CREATE LIKE and ATTACH, under a lock of its own: any worker may call it at any time.
CREATE OR REPLACE FUNCTION kronos.ensure_partitions(ahead integer DEFAULT 4) RETURNS integer LANGUAGE plpgsql AS $$
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
    PERFORM kronos.set_vacuum_of_partitions();
    RETURN made;
END
$$;
