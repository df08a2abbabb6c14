-- How much there is to judge.
SELECT (SELECT count(*) FROM kronos.runs), (SELECT count(*) FROM kronos.blobs)
