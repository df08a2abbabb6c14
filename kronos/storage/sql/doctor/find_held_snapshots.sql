-- What else keeps old row versions: replication slots and prepared transactions.
SELECT 'replication slot ' || slot_name AS name, greatest(age(xmin), age(catalog_xmin)) AS transactions
FROM pg_replication_slots WHERE coalesce(greatest(age(xmin), age(catalog_xmin)), 0) > 1000000
UNION ALL
SELECT 'prepared transaction ' || gid, age(transaction)
FROM pg_prepared_xacts WHERE prepared < clock_timestamp() - make_interval(secs => %(older_s)s)
