-- Expired runs need their content no more, but for the result that their row names.
WITH expired AS (
    SELECT id, id::text AS owner, CASE WHEN output LIKE '{"$blob":"%%' THEN decode(substr(convert_from(output, 'UTF8'), 11, 64), 'hex') END AS kept
    FROM kronos.runs
    WHERE retention_class = %(class)s AND id >= %(low)s AND id < %(high)s
)
DELETE FROM kronos.blob_refs b USING expired e
WHERE b.kind = 'run' AND b.owner = e.owner AND b.blob IS DISTINCT FROM e.kept
