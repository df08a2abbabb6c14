-- Say the limits of a queue; null is no limit.  They hold for claims that begin from now on.
INSERT INTO kronos.queues (name, concurrency, key_concurrency, rate, rate_ms)
VALUES (%(queue)s, %(concurrency)s, %(key_concurrency)s, %(rate)s, %(rate_ms)s)
ON CONFLICT (name) DO UPDATE SET concurrency = excluded.concurrency, key_concurrency = excluded.key_concurrency,
                                 rate = excluded.rate, rate_ms = excluded.rate_ms
