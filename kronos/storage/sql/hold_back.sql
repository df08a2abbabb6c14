-- Keep what the gate said of a file; bringing the same file again replaces the earlier word.
WITH earlier AS (
    DELETE FROM kronos.quarantine WHERE sha256 = %(sha256)s AND name = %(name)s AND settled_at IS NULL
)
INSERT INTO kronos.quarantine (name, instrument, file, sha256, message, report)
VALUES (%(name)s, %(instrument)s, %(file)s, %(sha256)s, %(message)s, %(report)s)
