-- How many whole weeks of partitions each class has after this one.
SELECT c.name,
       (SELECT count(*) FROM pg_partition_tree('kronos.events') t JOIN pg_class k ON k.oid = t.relid
        WHERE t.isleaf AND k.relname ~ ('^events_' || c.name || '_[0-9]{8}$')
          AND right(k.relname, 8) > to_char(date_trunc('week', kronos.now() AT TIME ZONE 'UTC'), 'YYYYMMDD')) AS ahead
FROM kronos.retention_classes c
ORDER BY c.id
