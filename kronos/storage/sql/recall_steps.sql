-- Take back what the former owner of these runs had spread out: the new one begins it again, and no outcome of it counts.
-- Steps that name a queue stay where they are.
DELETE FROM kronos.jobs WHERE run_id = ANY(%(runs)s::uuid[]) AND queue = %(queue)s
