-- Store content once; touching renews its grace, so that a sweep cannot take what a row is about to refer to.
INSERT INTO kronos.blobs (hash, size, data)
SELECT * FROM unnest(%(hashes)s::bytea[], %(sizes)s::bigint[], %(datas)s::bytea[])
ON CONFLICT (hash) DO UPDATE SET touched = kronos.now() WHERE blobs.touched < kronos.now() - interval '30 minutes'
