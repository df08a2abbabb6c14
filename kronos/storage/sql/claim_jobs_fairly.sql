-- Take up to `limit` due jobs of a queue with keys or limits, in turns: next comes the key with the fewest jobs under
-- way, within a key the best rank.  Never more than the limits allow; runs under `lock_queue`.
WITH said AS (
    SELECT q.concurrency, q.key_concurrency, q.rate, q.rate_ms
    FROM (SELECT 1) one LEFT JOIN kronos.queues q ON q.name = %(queue)s
), busy AS (
    SELECT key, count(*)::integer AS count FROM kronos.jobs
    WHERE state = 'running' AND queue = %(queue)s GROUP BY key
), room AS (
    SELECT greatest(0, least(
        %(limit)s,
        s.concurrency - (SELECT coalesce(sum(count), 0) FROM busy),
        s.rate - (SELECT coalesce(sum(count), 0) FROM kronos.queue_starts
                  WHERE queue = %(queue)s AND at > (SELECT kronos.now()) - s.rate_ms * interval '1 millisecond')
    ))::integer AS count
    FROM said s
), chosen AS (
    SELECT c.id
    FROM unnest(%(keys)s::text[]) AS lane (key)
    LEFT JOIN busy b ON b.key = lane.key
    CROSS JOIN LATERAL (
        SELECT d.id, d.rank, coalesce(b.count, 0) + row_number() OVER (ORDER BY d.rank) AS turn
        FROM (
            SELECT id, rank FROM kronos.jobs
            WHERE state = 'pending' AND queue = %(queue)s AND key = lane.key
              AND rank <= (SELECT kronos.job_rank(kronos.now(), 1::smallint))
              AND due_at <= (SELECT kronos.now()) AND (deadline_at IS NULL OR deadline_at > (SELECT kronos.now()))
              AND target = ANY(%(targets)s::text[])
            ORDER BY rank
            LIMIT (SELECT least(count, 1 + 4 * count / cardinality(%(keys)s::text[])) FROM room)
        ) d
    ) c
    WHERE lane.key = '' OR c.turn <= coalesce((SELECT key_concurrency FROM said), 2147483647)
    ORDER BY c.turn, c.rank
    LIMIT (SELECT count FROM room)
), taken AS (
    UPDATE kronos.jobs j
    SET state = 'running', worker = %(incarnation)s, attempt = j.attempt + 1, started_at = kronos.now()
    FROM chosen
    WHERE j.id = chosen.id AND j.state = 'pending'
    RETURNING j.id::text, j.target, j.input, j.attempt, j.failures, j.losses, j.rank, j.run_id::text
), counted AS (
    INSERT INTO kronos.queue_starts (queue, at, count)
    SELECT %(queue)s, kronos.now(), t.count FROM (SELECT count(*) FROM taken) t, said WHERE t.count > 0 AND rate IS NOT NULL
), forgotten AS (
    DELETE FROM kronos.queue_starts s USING said
    WHERE s.queue = %(queue)s AND s.at <= (SELECT kronos.now()) - coalesce(said.rate_ms, 0) * interval '1 millisecond'
)
SELECT * FROM taken
