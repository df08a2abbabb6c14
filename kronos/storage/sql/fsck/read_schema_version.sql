-- What the schema says of itself, and whether the migrations that were made are on record.
SELECT version, min_code, to_regclass('migrations') IS NOT NULL FROM kronos.schema_version
