-- Who leads, under which epoch, for how many more seconds.
SELECT l.epoch, n.name, extract(epoch FROM l.until - kronos.now())::float8 AS left_s
FROM kronos.leader l LEFT JOIN kronos.nodes n ON n.id = l.node
WHERE l.until > kronos.now()
