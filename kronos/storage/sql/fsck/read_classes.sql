-- Every class.
SELECT id FROM kronos.retention_classes ORDER BY id
