-- The last migration.
SELECT version_num::integer FROM migrations
