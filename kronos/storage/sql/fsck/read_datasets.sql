-- Every listed dataset with its manifest.
SELECT id, name, manifest FROM kronos.datasets ORDER BY id, name
