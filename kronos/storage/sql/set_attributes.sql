-- Keep what runs can be searched by beside them; the events that say so are written in the same transaction.
UPDATE kronos.runs r SET attributes = nullif(d.attributes::jsonb, '{}')
FROM unnest(%(runs)s::uuid[], %(attributes)s::text[]) AS d (id, attributes)
WHERE r.id = d.id
